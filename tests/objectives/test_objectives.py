"""What objectives hide and predict, and that nothing of a document is lost."""

import numpy as np
import pytest
import torch
from bmtool.config.model import ValidationError, validate
from bmtool.contracts import Examples
from bmtool.data.dataset import open_dataset
from bmtool.data.tokenizing.tokenizers import load_tokenizer, train_bpe
from bmtool.data.tokens import InMemoryTokens
from bmtool.errors import DataError, MissingInputError
from bmtool.models.building.build import new_model
from bmtool.objectives.clm import Clm
from bmtool.objectives.mlm import Mlm
from bmtool.train.order.plan import generator

CLS, SEP, MASK = 2, 3, 4


@pytest.fixture
def train(corpus):
    return open_dataset(corpus.folder)["train"]


@pytest.fixture
def tokenizer(corpus):
    return load_tokenizer(open_dataset(corpus.folder).tokenizer_folder)


def long_examples(count=40, length=50):
    """Documents of ordinary tokens, 5 to 99."""
    ids = np.random.default_rng(0).integers(5, 100, count * length)
    starts = np.arange(count) * length
    columns = {"bytes": np.ones(count), "document": np.arange(count), "is_last": np.ones(count, dtype=bool)}
    specials = {"[PAD]": 0, "[UNK]": 1, "[CLS]": CLS, "[SEP]": SEP, "[MASK]": MASK}
    return Examples(
        InMemoryTokens(ids),
        starts,
        np.full(count, length),
        (CLS,),
        (SEP,),
        columns,
        vocab_size=100,
        special_ids=specials,
    )


def original(batch):
    """The batch's ids before anything was hidden."""
    ids = batch.input_ids[0].clone()
    ids[batch.targets["positions"]] = batch.targets["labels"]
    return ids


@pytest.mark.parametrize("goal", [Mlm(), Clm()], ids=["mlm", "clm"])
@pytest.mark.parametrize("max_seq_length", [9, 12, 64])
def test_pieces_hold_every_token_of_every_document_in_order(train, tokenizer, goal, max_seq_length):
    examples = goal.examples(train, tokenizer, max_seq_length)

    assert examples.packed_lengths.max() <= max_seq_length
    assert (examples.lengths > 0).all()
    pieces = examples.tokens.gather(np.asarray(examples.starts), examples.lengths)
    assert np.array_equal(pieces, np.concatenate(train.tokens.views))
    assert np.asarray(examples.columns["is_last"]).sum() == train.num_rows
    assert np.asarray(examples.columns["bytes"]).sum() == pytest.approx(
        sum(len(text.encode()) for text in train.column("text").to_pylist())
    )


def test_special_tokens_that_leave_no_room_are_said(train, tokenizer):
    with pytest.raises(DataError, match=r"max_seq_length \(2\) leaves no room for text"):
        Mlm().examples(train, tokenizer, 2)


# ---------------------------------------------------------------- mlm


def test_masks_are_a_pure_function_of_seed_epoch_and_batch():
    examples, rows = long_examples(), np.arange(20)

    first = Mlm().collate(examples, rows, generator(1, 2, 3))
    np.random.default_rng(0).random(10)
    again = Mlm().collate(examples, rows, generator(1, 2, 3))
    other = Mlm().collate(examples, rows, generator(1, 2, 4))

    assert torch.equal(first.input_ids, again.input_ids)
    assert torch.equal(first.targets["positions"], again.targets["positions"])
    assert not torch.equal(first.targets["positions"], other.targets["positions"])


@pytest.mark.parametrize("probability", [0.15, 0.4])
def test_a_batch_of_as_many_tokens_has_as_many_targets(probability):
    examples = long_examples()
    counts = {
        Mlm(mlm_probability=probability).collate(examples, np.arange(20), generator(0, 0, batch)).counts["mlm"]
        for batch in range(5)
    }

    assert counts == {round(probability * 1000)}


def test_hidden_tokens_are_80_percent_masks_10_percent_random_and_10_percent_kept():
    examples, rows = long_examples(count=400), np.arange(400)

    batch = Mlm(mlm_probability=0.5).collate(examples, rows, generator(0, 0, 0))

    seen, labels = batch.input_ids[0][batch.targets["positions"]], batch.targets["labels"]
    assert len(labels) == 10_000
    assert (seen == MASK).float().mean() == pytest.approx(0.8, abs=0.02)
    assert (seen == labels).float().mean() == pytest.approx(0.1, abs=0.02)
    others = seen[(seen != MASK) & (seen != labels)]
    assert len(others) / 10_000 == pytest.approx(0.1, abs=0.02)
    assert others.min() == 5
    assert others.max() == 99


def test_special_tokens_are_never_hidden_and_the_rest_stays():
    examples, rows = long_examples(), np.arange(40)

    batch = Mlm(mlm_probability=0.9).collate(examples, rows, generator(0, 0, 0))

    assert batch.targets["labels"].min() >= 5
    assert (batch.input_ids[0][batch.cu_seq_lens[:-1].long()] == CLS).all()
    assert (batch.input_ids[0][batch.cu_seq_lens[1:].long() - 1] == SEP).all()
    text = original(batch)
    assert np.array_equal(text[text >= 5].numpy(), examples.tokens.ids)


def test_evaluation_hides_the_same_15_percent_whatever_training_does_and_whatever_the_batch():
    examples = long_examples()
    measured = Mlm(mlm_probability=0.4).measured()

    alone = measured.collate(examples, np.array([7]), generator(0, 0, 0))
    among = measured.collate(examples, np.array([3, 7, 9]), generator(5, 5, 5))

    assert torch.equal(alone.input_ids[0], among.input_ids[0, 52:104])
    assert alone.counts["mlm"] == round(0.15 * 50)
    assert torch.equal(alone.targets["positions"] + 52, among.targets["positions"][8:16])


def test_a_vocabulary_without_a_mask_is_refused(train):
    tokenizer = train_bpe(["some text for merges"] * 3, 300)

    with pytest.raises(MissingInputError, match="the tokenizer has no mask token"):
        Mlm().examples(train, tokenizer, 64)


@pytest.mark.parametrize("probability", [0, 1, 1.5, "120%"])
def test_a_probability_outside_0_and_1_is_refused(probability):
    with pytest.raises(ValidationError):
        validate(Mlm, {"mlm_probability": probability})


def test_a_share_may_be_written_in_percent():
    assert validate(Mlm, {"mlm_probability": "30%"}).mlm_probability == 0.3


# ---------------------------------------------------------------- clm


def test_each_token_predicts_the_next_one_of_its_document():
    examples = long_examples(count=3, length=4)
    examples.columns["is_last"][1] = False

    batch = Clm().collate(examples, np.array([0, 1, 2]), generator(0, 0, 0))

    ids = batch.input_ids[0]
    positions = batch.targets["positions"]
    assert positions.tolist() == [0, 1, 2, 3, 4, 6, 7, 8, 9, 12, 13, 14, 15, 16]
    assert torch.equal(batch.targets["labels"], ids[positions + 1])
    assert batch.counts == {"clm": 14}


def test_a_byte_level_vocabulary_gets_its_border_token_around_a_text(train):
    tokenizer = train_bpe(["some text for merges"] * 3, 300)
    border = tokenizer.token_to_id("<|endoftext|>")

    examples = Clm().examples(train, tokenizer, 64)

    assert (examples.prefix, examples.suffix) == ((border,), (border,))


@pytest.mark.parametrize("goal", [Mlm(), Clm()], ids=["mlm", "clm"])
def test_outputs_belong_to_their_pieces_and_sum_to_the_loss(goal):
    from bmtool.architectures.bert import Bert
    from bmtool.architectures.gpt import Gpt

    architecture = (Bert if goal.name() == "mlm" else Gpt)(hidden_size=32, num_attention_heads=2)
    config = architecture.config(vocab_size=100, max_seq_length=64, special_ids={"bos": 0, "eos": 0, "pad": 0})
    model = new_model(config, goal.auto_class, seed=0).eval()
    examples, measured = long_examples(count=6), goal.measured()
    batch = measured.collate(examples, np.array([4, 1, 5]), generator(0, 0, 0))

    outputs = measured.outputs(model, batch, examples)
    alone = measured.outputs(model, measured.collate(examples, np.array([1]), generator(0, 0, 0)), examples)
    loss = measured.losses(model, batch)[goal.name()]

    assert outputs["document"].tolist() == [4, 1, 5]
    assert outputs["nll"].sum() == pytest.approx(loss.item(), rel=1e-5)
    assert outputs["targets"].sum() == batch.counts[goal.name()]
    assert outputs["nll"][1] == pytest.approx(alone["nll"][0], rel=1e-5)
    assert (outputs["hits"] <= outputs["targets"]).all()
