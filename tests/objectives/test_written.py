"""Objectives of encoder-decoders: what is read, what is written, that lengths are known, and that it goes on."""

from itertools import chain, pairwise

import numpy as np
import pyarrow as pa
import pyarrow.parquet
import pytest
import torch
from bmtool.architectures.bart import Bart
from bmtool.architectures.t5 import T5
from bmtool.config.model import ValidationError, validate
from bmtool.data.dataset import open_dataset
from bmtool.data.tokenizing.tokenizers import SENTINEL, load_tokenizer, save_tokenizer
from bmtool.errors import ConfigError, DataError, MissingInputError
from bmtool.models.building.build import new_model
from bmtool.objectives.denoising import Denoising
from bmtool.objectives.span_corruption import SpanCorruption
from bmtool.stages import finetune, pretrain
from bmtool.stages.prepare import Config as Prepare
from bmtool.stages.prepare import run as prepare
from bmtool.tokenizers.bpe import Bpe
from bmtool.tokenizers.unigram import Unigram
from bmtool.train.inference.predict import run_goal
from bmtool.train.order.plan import generator
from transformers import AutoTokenizer

OBJECTIVES = {"span_corruption": SpanCorruption(), "denoising": Denoising()}
SMALL = {"hidden_size": 32, "num_attention_heads": 2, "num_hidden_layers": 1}


@pytest.fixture(scope="module")
def texts():
    rng = np.random.default_rng(0)
    words = ["we", "saw", "the", "film", "last", "week", "and", "it", "was", "quite", "good", "for", "a", "long", "day"]
    sentences = [" ".join(rng.choice(words, rng.integers(3, 9))) + "." for _ in range(400)]
    return [" ".join(sentences[4 * i : 4 * i + 4]) for i in range(100)]


@pytest.fixture(scope="module", params=["bpe", "unigram"])
def corpus(request, texts, tmp_path_factory, job_at):
    """A corpus whose tokenizer has a mask and 20 sentinels."""
    folder = tmp_path_factory.mktemp(request.param)
    (folder / "texts.txt").write_text("\n".join(texts), encoding="utf-8")
    tokenizer = {"type": request.param, "vocab_size": 340, "sentinels": 20}
    if request.param == "bpe":
        tokenizer["mask"] = True
    settings = {"sources": str(folder / "texts.txt"), "split": {"validation": 0.2}, "tokenizer": tokenizer}
    work = job_at(folder / "corpus", {})
    return work.as_artifact("dataset", prepare(validate(Prepare, settings), work.job))


@pytest.fixture
def train(corpus):
    return open_dataset(corpus.folder)["train"]


@pytest.fixture
def tokenizer(corpus):
    return load_tokenizer(open_dataset(corpus.folder).tokenizer_folder)


def parts(batch, examples):
    """Of each document its source and target, without what stands around them."""
    around, suffix = len(examples.prefix), len(examples.suffix)
    for start, end in pairwise(batch.cu_seq_lens.tolist()):
        ids, types = batch.input_ids[0, start:end], batch.token_type_ids[0, start:end]
        source, target = ids[types == 0].tolist(), ids[types == 1].tolist()
        assert target[0] == examples.end
        yield source[around : len(source) - suffix], target[1 + around : len(target) - suffix]


def own_tokens(examples, rows):
    return [
        examples.tokens.gather(examples.starts[[row]], examples.lengths[[row]]).tolist() for row in np.asarray(rows)
    ]


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_batch_is_as_long_as_was_planned(name, train, tokenizer):
    goal = validate(type(OBJECTIVES[name]), {"mlm_probability": 0.25})
    examples = goal.examples(train, tokenizer, 24)

    for batch_number in range(3):
        batch = goal.collate(examples, np.arange(40), generator(0, 0, batch_number))

        assert batch.cu_seq_lens.diff().tolist() == examples.packed_lengths[:40].tolist()
        assert batch.counts == {name: len(batch.targets["positions"])}
    assert examples.lengths.max() + len(examples.prefix) + len(examples.suffix) <= 24


@pytest.mark.parametrize("name", OBJECTIVES)
def test_noise_is_a_function_of_seed_epoch_and_batch_and_fixed_when_it_is_measured(name, train, tokenizer):
    goal = OBJECTIVES[name]
    examples, rows = goal.examples(train, tokenizer, 32), np.arange(12)

    first, again, other = (goal.collate(examples, rows, generator(1, 0, number)) for number in (3, 3, 4))
    measured = [goal.measured().collate(examples, some, generator(0, 0, 0)) for some in (rows, rows[5:6])]

    assert torch.equal(first.input_ids, again.input_ids)
    assert not torch.equal(first.input_ids, other.input_ids)
    start, end = measured[0].cu_seq_lens[5:7].tolist()
    assert torch.equal(measured[0].input_ids[:, start:end], measured[1].input_ids)


def test_what_is_left_out_is_written_behind_its_sentinel(train, tokenizer):
    goal, rows = SpanCorruption(), np.arange(20)
    examples = goal.examples(train, tokenizer, 48)

    batch = goal.collate(examples, rows, generator(0, 0, 0))

    sentinels = [tokenizer.token_to_id(SENTINEL.format(number)) for number in range(20)]
    for (source, target), whole in zip(parts(batch, examples), own_tokens(examples, rows), strict=True):
        spans = {}
        for token in target:
            if token in sentinels:
                spans[token] = []
            else:
                spans[next(reversed(spans))].append(token)
        assert list(spans) == sentinels[: len(spans)] == [token for token in source if token in sentinels]
        assert list(chain.from_iterable(spans.get(token, [token]) for token in source)) == whole
        assert sum(map(len, spans.values())) == max(1, round(0.15 * len(whole)))


def test_a_spoilt_text_is_written_whole(train, tokenizer):
    goal, rows = Denoising(permute_sentence_ratio=0.0), np.arange(20)
    examples = goal.examples(train, tokenizer, 64)

    batch = goal.collate(examples, rows, generator(0, 0, 0))

    mask = tokenizer.token_to_id("<mask>")
    for (source, target), whole in zip(parts(batch, examples), own_tokens(examples, rows), strict=True):
        assert target == whole
        rest = iter(whole)
        assert all(token in rest for token in source if token != mask)  # in their order
        assert len(whole) - sum(token != mask for token in source) == max(1, round(0.3 * len(whole)))


def test_sentences_are_put_in_another_order(train, tokenizer):
    examples = Denoising().examples(train, tokenizer, 128)
    rows = np.arange(30)

    batch = Denoising(mlm_probability=0.01).collate(examples, rows, generator(0, 0, 0))

    pairs = list(zip(parts(batch, examples), own_tokens(examples, rows), strict=True))
    mask = tokenizer.token_to_id("<mask>")
    assert all(target == whole for (_, target), whole in pairs)
    moved = 0
    for (source, _), whole in pairs:
        rest = iter(whole)
        moved += not all(token in rest for token in source if token != mask)
    assert moved > 20  # of 24 orders of four sentences one is the text's own


def test_the_end_of_what_is_written_is_learned(train, tokenizer):
    examples = SpanCorruption().examples(train, tokenizer, 32)

    batch = SpanCorruption().collate(examples, np.arange(4), generator(0, 0, 0))

    ends = torch.searchsorted(batch.targets["positions"], batch.cu_seq_lens[1:].long() - 2)
    assert batch.targets["labels"][ends].tolist() == [examples.end] * 4


# ---------------------------------------------------------------- what is refused


def test_a_tokenizer_with_too_few_sentinels_is_refused(texts, train):
    few = Bpe(vocab_size=300, sentinels=2).train(texts)

    with pytest.raises(MissingInputError) as error:
        SpanCorruption(mlm_probability=0.5, mean_noise_span_length=1).examples(train, few, 21)

    assert str(error.value) == (
        "objective span_corruption needs 10 tokens that stand for what is left out of the longest text, and the "
        "tokenizer has 2 of them (<extra_id_0> and so on). Prepare the corpus with tokenizer: {type: unigram, "
        "sentinels: 100} (or bpe), or lower max_seq_length"
    )


def test_a_tokenizer_without_a_mask_is_refused(texts, train):
    plain = Bpe(vocab_size=300).train(texts)

    with pytest.raises(MissingInputError, match=r"has no mask token .* tokenizer: \{type: bpe, mask: true\}"):
        Denoising().examples(train, plain, 64)


def test_a_tokenizer_that_can_not_write_is_refused(texts, make_job, tmp_path):
    (tmp_path / "texts.txt").write_text("\n".join(texts).upper(), encoding="utf-8")
    settings = {"sources": str(tmp_path / "texts.txt"), "tokenizer": {"type": "wordpiece", "vocab_size": 200}}
    job = make_job()
    prepare(validate(Prepare, settings), job)
    dataset = open_dataset(job.folder)

    with pytest.raises(DataError, match="split 'train': this tokenizer can't write the texts"):
        Denoising().examples(dataset["train"], load_tokenizer(dataset.tokenizer_folder), 64)


def test_a_batch_that_can_not_hold_a_text_and_what_is_written_of_it_is_refused(make_job, corpus):
    settings = validate(
        pretrain.Config,
        {"data": "corpus", "model": {"architecture": "bart", **SMALL}, "objective": "denoising", "max_steps": 1}
        | {"max_seq_length": 24, "per_device_batch_tokens": 24},
    )

    with pytest.raises(ConfigError, match=r"pretrain.per_device_batch_tokens must hold the longest example, of"):
        pretrain.run(settings, make_job(inputs={"data": corpus}))


def test_a_vocabulary_without_room_for_sentinels_is_refused():
    with pytest.raises(ValidationError, match="bytes and special tokens alone are 359"):
        validate(Bpe, {"vocab_size": 300, "sentinels": 100, "mask": True})
    with pytest.raises(ValidationError, match="100 are sentinels: set at least 132"):
        validate(Unigram, {"vocab_size": 100, "sentinels": 100})


# ---------------------------------------------------------------- what is learned


@pytest.mark.parametrize(
    "trainer", [Bpe(vocab_size=340, mask=True, sentinels=20), Unigram(vocab_size=340, sentinels=20)]
)
def test_transformers_knows_mask_and_sentinels_as_special_tokens(trainer, texts, tmp_path):
    tokenizer = trainer.train(texts)
    save_tokenizer(tmp_path, tokenizer, trainer)

    theirs = AutoTokenizer.from_pretrained(tmp_path)

    text = "we saw <extra_id_0> film<mask> <extra_id_19>"
    assert theirs(text).input_ids == tokenizer.encode(text).ids
    assert {tokenizer.token_to_id(token) for token in ("<mask>", "<extra_id_0>", "<extra_id_19>")} <= set(
        theirs(text).input_ids
    )
    assert theirs.mask_token == "<mask>"
    assert tokenizer.get_vocab_size() <= 340
    assert "extra" not in theirs.decode(theirs(text).input_ids, skip_special_tokens=True)


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize("architecture", [T5, Bart])
def test_measured_numbers_do_not_depend_on_the_batch(name, architecture, train, tokenizer):
    goal = OBJECTIVES[name]
    examples = goal.examples(train, tokenizer, 32)
    end = {"eos": examples.end, "pad": tokenizer.token_to_id("<pad>") or 1}
    config = validate(architecture, SMALL).config(
        vocab_size=tokenizer.get_vocab_size(), max_seq_length=32, special_ids=end
    )
    model = new_model(config, goal.auto_class, seed=0).eval()

    one, other = (run_goal(model, goal, examples, size) for size in (128, 1024))

    np.testing.assert_allclose(one["nll"], other["nll"], rtol=1e-4)
    assert one["targets"].tolist() == other["targets"].tolist()


@pytest.mark.parametrize(("architecture", "objective"), [("t5", "span_corruption"), ("bart", "denoising")])
def test_what_was_pretrained_is_fine_tuned_to_write(architecture, objective, corpus, texts, make_job, tmp_path):
    common = {"max_seq_length": 32, "precision": "fp32", "per_device_batch_tokens": 256, "learning_rate": 3e-3}
    start = {"data": "corpus", "model": {"architecture": architecture, **SMALL}, "objective": objective}
    first = make_job(tmp_path / "pretrain", {"data": corpus})
    summary = pretrain.run(validate(pretrain.Config, {**start, **common, "max_steps": 30}), first)
    rows = pa.table({"source": texts[:40], "target": [text.split()[0] for text in texts[:40]]})
    pa.parquet.write_table(rows, tmp_path / "rows.parquet")
    pairs = {"task": "translation", "sources": str(tmp_path / "rows.parquet"), "split": {"validation": 0.2}}
    prepare(validate(Prepare, pairs), make_job(tmp_path / "pairs"))

    second = make_job(
        tmp_path / "finetune", {"data": (tmp_path / "pairs", "dataset"), "from": (first.folder, "checkpoint")}
    )
    tuned = finetune.run(validate(finetune.Config, {"data": "pairs", **common, "max_steps": 5}), second)

    assert 0 < summary["validation"]["loss"] < 5.5  # of 340 tokens as likely: 5.8
    assert tuned["validation"]["loss"] > 0
    assert AutoTokenizer.from_pretrained(second.folder)("<extra_id_3>", add_special_tokens=False).input_ids == [
        load_tokenizer(first.folder).token_to_id("<extra_id_3>")
    ]
