"""Tasks that write: what is cut, what is learned, where texts end, and that neither padding nor neighbours matter."""

import json

import numpy as np
import pyarrow as pa
import pytest
import torch
from bmtool.architectures.bart import Bart
from bmtool.architectures.t5 import T5
from bmtool.config.model import ValidationError, validate
from bmtool.contracts import Weighing
from bmtool.data.dataset import open_dataset
from bmtool.data.examples.targets import Frame
from bmtool.data.tokenizing.tokenizers import load_tokenizer
from bmtool.errors import ConfigError, DataError
from bmtool.models.building.build import new_model
from bmtool.models.decoding.search import masked_attention
from bmtool.models.families.packed import lm_logits_at
from bmtool.models.files.checkpoint import open_model
from bmtool.models.files.inference import Rows
from bmtool.tasks.summarization import Summarization
from bmtool.tasks.translation import Translation
from bmtool.tokenizers.bpe import Bpe
from bmtool.tokenizers.unigram import Unigram
from bmtool.train.inference.predict import run_goal
from tokenizers import Tokenizer, models
from transformers import AutoModelForSeq2SeqLM, GenerationConfig

SOURCES = ["we saw (a lovely) film, twice", "an awful week", "", "it was dull 这部电影", "a great evening by the sea"]
TARGETS = ["Wir sahen (einen schönen) Film, zweimal", "eine furchtbare Woche", "nichts", "这部电影很好看", "ein Abend"]

ARCHITECTURES = {"t5": T5, "bart": Bart}


@pytest.fixture(scope="module")
def bpe():
    return Bpe(vocab_size=300).train(SOURCES + TARGETS)


@pytest.fixture(scope="module")
def unigram():
    return Unigram(vocab_size=340, byte_fallback=True).train((SOURCES + TARGETS) * 20)


def rows(sources=SOURCES, targets=TARGETS):
    columns = {"source": sources} | ({} if targets is None else {"target": targets})
    return Rows(pa.table(columns, schema=pa.schema([(name, pa.string()) for name in columns])), (), "train")


def tokenizer_of(name, request):
    return request.getfixturevalue(name)


def small(name, tokenizer, *, pad="<|pad|>", **settings):
    end = Frame.of(tokenizer).end
    padding = tokenizer.token_to_id(pad)
    ids = {"eos": end} | ({} if padding is None else {"pad": padding})
    architecture = validate(ARCHITECTURES[name], {"hidden_size": 32, "dropout": 0.0} | settings)
    config = architecture.config(vocab_size=tokenizer.get_vocab_size(), max_seq_length=64, special_ids=ids)
    return new_model(config, Translation().auto_class, seed=0).eval()


def encoded(task, tokenizer, split=None, max_seq_length=64):
    examples = task.examples(rows() if split is None else split, tokenizer, max_seq_length)
    return examples, task.collate(examples, np.arange(len(examples)), np.random.default_rng(0))


def learned(task, model, tokenizer, steps=100):
    """A model that was shown the rows so often, and its last loss."""
    torch.set_num_threads(1)
    _, batch = encoded(task, tokenizer)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.0)
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = 1e-2 * min(1, step / 5) * (1 - step / steps)
        loss = task.losses(model, batch)["cross_entropy"] / batch.counts["cross_entropy"]
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    return model, loss.item()


# ---------------------------------------------------------------- what is read


def test_an_example_is_a_source_a_start_and_a_target_with_its_end(bpe):
    examples, batch = encoded(Translation(), bpe, rows(["a week", ""], ["eine", ""]))

    end = "<|endoftext|>"
    first, second = bpe.encode("a week").tokens, bpe.encode("eine").tokens
    assert [bpe.id_to_token(i) for i in batch.input_ids[0].tolist()] == [*first, end, end, *second, end, end, end, end]
    assert batch.token_type_ids[0].tolist() == [0] * (len(first) + 1) + [1] * (len(second) + 2) + [0, 1, 1]
    assert batch.targets["labels"].tolist() == [*bpe.encode("eine").ids, bpe.token_to_id(end), bpe.token_to_id(end)]
    assert batch.counts == {"cross_entropy": len(second) + 2}
    assert examples.packed_lengths.tolist() == [len(first) + len(second) + 3, 3]
    assert examples.columns["references"] == [["eine"], [""]]
    assert examples.columns["bytes"].tolist() == [4.0, 0.0]


def test_a_tokenizer_with_special_tokens_of_its_own_puts_them_around_both_texts(unigram):
    _, batch = encoded(Translation(), unigram, rows(["a"], ["ein"]))

    source, target = (unigram.encode(text).tokens for text in ("a", "ein"))
    assert [unigram.id_to_token(i) for i in batch.input_ids[0].tolist()] == [*source, "</s>", *target]


def test_what_is_too_long_is_cut_and_counted_and_its_end_is_not_learned(bpe):
    long = "aéb " * 10
    tokens = len(bpe.encode(long).ids)
    task = Translation(max_new_tokens=6)

    examples, batch = encoded(task, bpe, rows([long, "a"], ["a", long]), max_seq_length=9)

    assert examples.cut == {"texts_cut": 1, "tokens_cut": 2 * tokens - 8 - 5, "targets_cut": 1}
    short, cut = bpe.encode("a").ids, bpe.encode(long).ids[:5]
    assert batch.targets["labels"].tolist() == [*short, bpe.token_to_id("<|endoftext|>"), *cut]
    assert batch.counts == {"cross_entropy": len(short) + 1 + 5}
    assert examples.packed_lengths.tolist() == [9 + 1 + 2, 2 + 1 + 6]


def test_the_prefix_of_sources_is_read_with_them(bpe):
    plain, _ = encoded(Translation(), bpe, rows(["say: we", "say: "], None))
    prefixed, _ = encoded(Translation(prompt="say: {source}"), bpe, rows(["we", ""], None))

    assert prefixed.tokens.ids.tolist() == plain.tokens.ids.tolist()


def test_a_missing_target_is_a_data_error(bpe):
    with pytest.raises(DataError) as error:
        encoded(Translation(), bpe, rows(["a", "b"], ["x", None]))

    assert str(error.value) == "split 'train': 1 values of column 'target' are missing"


def test_a_tokenizer_that_does_not_give_back_what_it_was_given_is_refused(corpus):
    wordpiece = load_tokenizer(open_dataset(corpus.folder).tokenizer_folder)

    with pytest.raises(DataError) as error:
        encoded(Translation(), wordpiece, rows(["a"], ["We saw (a film)."]))

    assert str(error.value).startswith(
        "split 'train': this tokenizer can't write the targets: of 1 that were encoded and decoded again 1 came back "
        "as something else, such as 'We saw (a film).' as "
    )


def test_a_tokenizer_without_an_end_is_refused():
    bare = Tokenizer(models.WordLevel({"a": 0}, unk_token="a"))

    with pytest.raises(DataError, match="has no token for the end of a text"):
        encoded(Translation(), bare, rows(["a"], ["a"]))


# ---------------------------------------------------------------- what is learned


@pytest.mark.parametrize(
    ("name", "tokenizer", "pad"), [("t5", "bpe", "none"), ("bart", "bpe", "none"), ("t5", "unigram", "<pad>")]
)
def test_a_few_texts_are_learned_by_heart_with_their_ends(name, tokenizer, pad, request, tmp_path):
    tokenizer, task = tokenizer_of(tokenizer, request), Translation()

    model, loss = learned(task, small(name, tokenizer, pad=pad), tokenizer)
    examples, _ = encoded(task, tokenizer)
    outputs = run_goal(model, task, examples, 128)
    model.save_pretrained(tmp_path)
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    again = run_goal(open_model(tmp_path, task.auto_class), task, examples, 256)

    assert loss < 0.1
    assert outputs["predictions"] == again["predictions"] == TARGETS
    assert outputs["references"] == [[text] for text in TARGETS]
    assert not outputs["is_cut"].any()
    assert outputs["nll"].sum() / outputs["targets"].sum() == pytest.approx(loss, abs=0.05)
    np.testing.assert_allclose(outputs["nll"], again["nll"], atol=1e-4)
    assert task.present(outputs, ()).to_pydict() == {"target": TARGETS}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_loss_is_that_of_each_pair_alone_by_transformers_itself(name, bpe):
    task, model = Translation(), small(name, bpe)
    examples, batch = encoded(task, bpe)

    with torch.inference_mode():
        loss = task.losses(model, batch)["cross_entropy"]
        outputs = task.watched(None).outputs(model, batch, examples)

    end = bpe.token_to_id("<|endoftext|>")
    alone = []
    for source, target in zip(SOURCES, TARGETS, strict=True):
        labels = torch.tensor([[*bpe.encode(target).ids, end]])
        with masked_attention(model):
            mean = model(input_ids=torch.tensor([[*bpe.encode(source).ids, end]]), labels=labels).loss
        alone.append(mean.item() * labels.numel())
    assert loss.item() == pytest.approx(sum(alone), rel=1e-5)
    np.testing.assert_allclose(outputs["nll"], alone, rtol=1e-5)
    assert outputs["targets"].sum() == batch.counts["cross_entropy"]


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_gradients_do_not_depend_on_what_else_is_in_the_batch(name, bpe):
    task, model = Translation(), small(name, bpe)
    examples, batch = encoded(task, bpe)

    task.losses(model, batch)["cross_entropy"].backward()
    together = {key: one.grad.clone() for key, one in model.named_parameters() if one.grad is not None}
    model.zero_grad()
    for row in range(len(examples)):
        one = task.collate(examples, np.asarray([row]), np.random.default_rng(0))
        task.losses(model, one)["cross_entropy"].backward()

    for key, one in model.named_parameters():
        assert one.grad is not None, key
        torch.testing.assert_close(one.grad, together[key], rtol=1e-3, atol=2e-4)


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_label_smoothing_is_that_of_torch(name, bpe):
    task, model = Translation(), small(name, bpe)
    _, batch = encoded(task, bpe)
    positions, labels = batch.targets["positions"], batch.targets["labels"]
    if name == "bart":
        model.get_buffer("final_logits_bias")[0, labels] = 3.0

    loss = task.weighed(Weighing(label_smoothing=0.2)).losses(model, batch)["cross_entropy"]

    logits = lm_logits_at(model, batch, positions)
    wanted = torch.nn.functional.cross_entropy(logits, labels, reduction="sum", label_smoothing=0.2)
    assert loss.item() == pytest.approx(wanted.item(), rel=1e-5)
    assert loss.item() != pytest.approx(task.losses(model, batch)["cross_entropy"].item(), rel=1e-3)


# ---------------------------------------------------------------- what is written


@pytest.fixture(scope="module")
def half_learned(bpe):
    return learned(Translation(), small("bart", bpe), bpe, steps=25)[0]


@pytest.mark.parametrize("num_beams", [1, 3])
def test_a_text_does_not_depend_on_what_else_is_in_the_batch(num_beams, half_learned, bpe):
    task = Translation(num_beams=num_beams, max_new_tokens=30)
    examples, batch = encoded(task, bpe, rows(targets=None))

    together = task.outputs(half_learned, batch, examples)

    assert set(together) == {"predictions", "is_cut"}
    for row in range(len(examples)):
        one = task.collate(examples, np.asarray([row]), np.random.default_rng(0))
        alone = task.outputs(half_learned, one, examples)
        assert alone["predictions"] == [together["predictions"][row]]
        assert alone["is_cut"][0] == together["is_cut"][row]


def test_texts_are_those_that_transformers_writes_by_the_same_settings(half_learned, bpe):
    task = Translation(num_beams=3, max_new_tokens=20, length_penalty=2.0)
    examples, batch = encoded(task, bpe, rows(targets=None))

    ours = task.outputs(half_learned, batch, examples)["predictions"]

    end = bpe.token_to_id("<|endoftext|>")
    for source, text in zip(SOURCES, ours, strict=True):
        source_ids = torch.tensor([[*bpe.encode(source).ids, end]])
        with masked_attention(half_learned):
            ids = half_learned.generate(
                source_ids,
                num_beams=3,
                max_new_tokens=20,
                length_penalty=2.0,
                eos_token_id=end,
                forced_eos_token_id=None,
            )
        assert bpe.decode(ids[0].tolist(), skip_special_tokens=True) == text


def test_transformers_writes_the_same_texts_from_the_folder_alone(half_learned, bpe, tmp_path):
    task = Translation(num_beams=3, max_new_tokens=8, length_penalty=2.0)
    examples, batch = encoded(task, bpe, rows(targets=None))
    half_learned.save_pretrained(tmp_path)
    settings = json.loads((tmp_path / "generation_config.json").read_text())
    (tmp_path / "generation_config.json").write_text(
        json.dumps(settings | {"forced_bos_token_id": 40, "min_length": 7})
    )

    task.furnish(tmp_path, 64)

    end, plain = bpe.token_to_id("<|endoftext|>"), AutoModelForSeq2SeqLM.from_pretrained(tmp_path)
    for source, text in zip(SOURCES, task.outputs(half_learned, batch, examples)["predictions"], strict=True):
        ids = plain.generate(torch.tensor([[*bpe.encode(source).ids, end]]))
        assert bpe.decode(ids[0].tolist(), skip_special_tokens=True) == text


def test_a_text_that_does_not_end_in_time_is_cut_and_said_to_be(half_learned, bpe):
    task = Translation(num_beams=1, max_new_tokens=2)
    examples, batch = encoded(task, bpe, rows(targets=None))

    outputs = task.outputs(half_learned, batch, examples)

    assert outputs["is_cut"].all()
    assert all(len(bpe.encode(text).ids) <= 2 for text in outputs["predictions"])


def test_what_a_checkpoint_asks_of_writing_besides_is_not_done_and_not_lost(half_learned, bpe):
    task = Translation(num_beams=1, max_new_tokens=8)
    examples, batch = encoded(task, bpe, rows(targets=None))
    plain = task.outputs(half_learned, batch, examples)["predictions"]
    own = half_learned.generation_config

    half_learned.generation_config = GenerationConfig(forced_bos_token_id=40, min_length=7, no_repeat_ngram_size=1)
    asked = half_learned.generation_config
    again = task.outputs(half_learned, batch, examples)["predictions"]
    kept, half_learned.generation_config = half_learned.generation_config, own

    assert again == plain
    assert kept is asked


def test_while_training_texts_are_written_only_if_they_choose_the_checkpoint(half_learned, bpe):
    task = Summarization()
    examples, batch = encoded(task, bpe)

    watched = task.watched(None)

    assert watched.metrics == ("loss",)
    assert set(watched.outputs(half_learned, batch, examples)) == {"nll", "targets", "bytes"}
    assert task.watched("rouge2").metrics == task.metrics == ("rouge_l", "rouge1", "rouge2", "loss")
    assert len(task.watched("rouge2").outputs(half_learned, batch, examples)["predictions"]) == len(examples)
    assert "predictions" not in task.weighed(Weighing(0.1)).watched("loss").outputs(half_learned, batch, examples)


def test_other_tasks_are_refused_with_an_encoder_decoder(bpe):
    config = small("t5", bpe).config

    with pytest.raises(
        ConfigError, match="a 't5' model has an encoder and a decoder; bmtool trains it for translation"
    ):
        new_model(config, "AutoModelForSequenceClassification", ("a", "b"))


def test_settings_are_checked():
    with pytest.raises(ValidationError):
        validate(Translation, {"num_beams": 0})
