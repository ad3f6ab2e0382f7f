"""Pairs of texts as BERT was trained on: what follows, what doesn't, and the same loss as BertForPreTraining."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from bmtool.contracts import Examples
from bmtool.data.dataset import open_dataset
from bmtool.data.tokenizing.tokenizers import load_tokenizer, train_bpe
from bmtool.data.tokens import InMemoryTokens
from bmtool.errors import ConfigError, DataError
from bmtool.models.building.build import new_model
from bmtool.models.files.checkpoint import open_model, read_info, save_checkpoint
from bmtool.models.goals.pairs import FOLLOWS, RANDOM
from bmtool.objectives.mlm_nsp import MlmNsp
from bmtool.train.inference.predict import run_goal
from bmtool.train.order.plan import generator

sys.path.insert(0, str(Path(__file__).parents[2]))
from packing import CONFIGS, PACKED

CLS, SEP, MASK = 2, 3, 4
RATE = 0.3


def make_examples(lengths=(30, 12, 7, 7, 21, 2), document=None):
    """Tokens that tell where they stood: 10 + the number of each token in the corpus."""
    lengths = np.array(lengths)
    columns = {"bytes": lengths * 4.0, "document": np.arange(len(lengths)) if document is None else np.array(document)}
    specials = {"[PAD]": 0, "[UNK]": 1, "[CLS]": CLS, "[SEP]": SEP, "[MASK]": MASK}
    return Examples(
        InMemoryTokens(np.arange(lengths.sum()) + 10),
        np.cumsum(lengths) - lengths,
        lengths,
        (CLS,),
        (SEP, SEP),
        columns,
        vocab_size=1000,
        special_ids=specials,
    )


def original(batch):
    ids = batch.input_ids[0].clone()
    ids[batch.targets["positions"]] = batch.targets["labels"]
    return ids


def texts(batch):
    """(text A, text B) of each pair, as the numbers of their tokens."""
    for ids, types in zip(
        original(batch).tensor_split(batch.cu_seq_lens[1:-1].long()),
        batch.token_type_ids[0].tensor_split(batch.cu_seq_lens[1:-1].long()),
        strict=True,
    ):
        first, second = ids[types == 0], ids[types == 1]
        assert first[0] == CLS
        assert first[-1] == SEP
        assert second[-1] == SEP
        yield (first[1:-1] - 10).tolist(), (second[:-1] - 10).tolist()


def test_text_b_goes_on_in_the_piece_or_is_the_end_of_one_of_another_document():
    examples = make_examples((30, 12, 7, 7, 21, 2, 9), document=[0, 1, 2, 2, 3, 4, 4])
    owner = np.repeat(np.arange(7), examples.lengths)
    ends = examples.starts + examples.lengths
    seen = {FOLLOWS: 0, RANDOM: 0}

    for number in range(60):
        rows = np.random.default_rng(number).permutation(7)
        batch = MlmNsp(mlm_probability=RATE).collate(examples, rows, generator(0, 0, number))
        assert batch.rows.tolist() == rows.tolist()
        for row, label, (first, second) in zip(rows, batch.targets["pairs"].tolist(), texts(batch), strict=True):
            seen[label] += 1
            other = owner[second[0]]
            assert first == list(range(examples.starts[row], examples.starts[row] + len(first)))
            assert second == list(range(second[0], ends[other]))
            assert len(first) + len(second) == examples.lengths[row]
            if label == FOLLOWS:
                assert second[0] == first[-1] + 1
            else:
                assert examples.columns["document"][other] != examples.columns["document"][row]

    assert abs(seen[FOLLOWS] - 210) < 50


def test_lengths_are_known_before_and_the_number_of_targets_is_constant():
    examples = make_examples()

    batches = [MlmNsp(mlm_probability=RATE).collate(examples, np.arange(6), generator(0, 0, i)) for i in range(5)]

    for batch in batches:
        assert batch.cu_seq_lens.diff().tolist() == examples.packed_lengths.tolist()
        assert batch.counts == {"mlm": round(RATE * 79), "nsp": 6}
        assert (batch.targets["labels"] >= 10).all()
        assert (batch.targets["positions"].diff() > 0).all()


def test_cuts_and_pairs_are_drawn_anew_in_every_batch_and_the_same_again():
    examples, goal = make_examples(), MlmNsp()

    first, again, other = (goal.collate(examples, np.arange(6), generator(1, 2, n)) for n in (3, 3, 4))

    assert torch.equal(first.input_ids, again.input_ids)
    assert torch.equal(first.token_type_ids, again.token_type_ids)
    assert not torch.equal(first.token_type_ids, other.token_type_ids)


def test_the_longest_text_is_paired_with_as_much_as_there_is():
    examples = make_examples((50, 3))

    for number in range(20):
        batch = MlmNsp().collate(examples, np.array([0]), generator(0, 0, number))
        ((first, second),) = texts(batch)

        assert len(first) + len(second) == 50
        if batch.targets["pairs"][0] == RANDOM:
            assert set(second) <= {50, 51, 52}


def padded_loss(model, batch):
    """BertForPreTraining's own loss on the same pairs."""
    borders = batch.cu_seq_lens[1:-1].long()
    labels = torch.full_like(batch.input_ids[0], -100)
    labels[batch.targets["positions"]] = batch.targets["labels"]

    def pad(values, padding=0):
        rows = values.tensor_split(borders)
        return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True, padding_value=padding)

    return model(
        input_ids=pad(batch.input_ids[0]),
        attention_mask=pad(torch.ones_like(labels)),
        token_type_ids=pad(batch.token_type_ids[0]),
        labels=pad(labels, -100),
        next_sentence_label=batch.targets["pairs"],
    ).loss


def test_the_packed_loss_and_its_gradients_are_those_of_bert_for_pre_training():
    config = CONFIGS["bert"]()
    config.vocab_size = 1000
    ours = new_model(config, "AutoModelForPreTraining", seed=0)
    theirs = new_model(config, "AutoModelForPreTraining", seed=0, attention="sdpa")
    batch = MlmNsp(mlm_probability=RATE).collate(make_examples(), np.arange(6), generator(0, 0, 0))

    losses = MlmNsp().losses(ours, batch)
    loss = losses["mlm"] / batch.counts["mlm"] + losses["nsp"] / batch.counts["nsp"]
    wanted = padded_loss(theirs, batch)
    loss.backward()
    wanted.backward()

    assert type(ours).__name__ == "BertForPreTraining"
    assert loss.item() == pytest.approx(wanted.item(), abs=1e-5)
    for (name, mine), reference in zip(ours.named_parameters(), theirs.parameters(), strict=True):
        assert (mine.grad - reference.grad).abs().max() < 1e-4, name


def test_evaluation_pairs_and_hides_the_same_15_percent_whatever_training_does_and_whatever_the_batch():
    examples = make_examples((40,) * 10)
    measured = MlmNsp(mlm_probability=0.4).measured()

    alone = measured.collate(examples, np.array([7]), generator(0, 0, 0))
    among = measured.collate(examples, np.array([3, 7, 9]), generator(5, 5, 5))

    assert torch.equal(alone.input_ids[0], among.input_ids[0, 43:86])
    assert torch.equal(alone.token_type_ids[0], among.token_type_ids[0, 43:86])
    assert alone.targets["pairs"][0] == among.targets["pairs"][1]
    assert alone.counts == {"mlm": round(0.15 * 40), "nsp": 1}
    assert torch.equal(alone.targets["positions"] + 43, among.targets["positions"][6:12])


def test_outputs_belong_to_their_pieces_and_sum_to_the_losses():
    config = CONFIGS["bert"]()
    config.vocab_size = 1000
    goal = MlmNsp()
    model = new_model(config, goal.auto_class, seed=0)
    examples = make_examples((20,) * 8)

    outputs = run_goal(model, goal, examples, 100)

    batch = goal.measured().collate(examples, np.arange(8), generator(0, 0, 0))
    assert outputs["document"].tolist() == list(range(8))
    assert outputs["nll"].sum() == pytest.approx(goal.losses(model, batch)["mlm"].item(), rel=1e-4)
    assert outputs["pairs"].tolist() == [1] * 8
    assert set(outputs["pair_hits"]) <= {0, 1}


def test_a_corpus_becomes_pairs_as_the_tokenizer_joins_two_texts(corpus):
    dataset = open_dataset(corpus.folder)
    tokenizer = load_tokenizer(dataset.tokenizer_folder)

    examples = MlmNsp().examples(dataset["train"], tokenizer, 32)
    batch = MlmNsp().collate(examples, np.arange(5), generator(0, 0, 0))

    assert examples.packed_lengths.max() <= 32
    assert examples.cut == {"texts_without_tokens": 0, "pieces_of_one_token": examples.cut["pieces_of_one_token"]}
    ends = batch.cu_seq_lens[1:-1].long()
    for ids, types in zip(original(batch).tensor_split(ends), batch.token_type_ids[0].tensor_split(ends), strict=True):
        second = int(types.sum()) - 1
        joined = tokenizer.encode("we " * (len(ids) - second - 3), "we " * second)  # a word is one token here
        is_special = torch.tensor(joined.special_tokens_mask).bool()
        assert joined.type_ids == types.tolist()
        assert torch.equal(torch.tensor(joined.ids)[is_special], ids[is_special])


@pytest.mark.parametrize("family", sorted(set(PACKED) - {"bert"}))
def test_other_families_have_no_head_for_pairs(family):
    auto_class = "AutoModelForCausalLM" if family in ("gpt2", "llama", "qwen3") else "AutoModelForMaskedLM"
    model = new_model(CONFIGS[family](), auto_class)
    batch = MlmNsp().collate(make_examples((8, 9)), np.arange(2), generator(0, 0, 0))

    with pytest.raises(ConfigError, match=rf"\('{family}'\) has no head for pairs of texts, which objective mlm_nsp"):
        MlmNsp().losses(model, batch)


def test_a_tokenizer_that_puts_nothing_between_two_texts_is_refused(corpus):
    tokenizer = train_bpe(["some text for merges"] * 3, 300)

    with pytest.raises(
        DataError, match="the tokenizer puts 0 tokens between two texts, and objective mlm_nsp needs one"
    ):
        MlmNsp().examples(open_dataset(corpus.folder)["train"], tokenizer, 64)


def test_a_checkpoint_opens_for_every_later_stage(corpus, tmp_path):
    tokenizer_folder = open_dataset(corpus.folder).tokenizer_folder
    model = new_model(CONFIGS["bert"](), "AutoModelForPreTraining", seed=0)
    save_checkpoint(tmp_path / "model", model, tokenizer_folder, {"goal": {"type": "mlm_nsp"}})

    (tmp_path / "model" / "bmtool.json").unlink()
    assert read_info(tmp_path / "model")["goal"] == {"type": "mlm_nsp"}
    assert type(open_model(tmp_path / "model", "AutoModelForPreTraining")).__name__ == "BertForPreTraining"
    assert type(open_model(tmp_path / "model", "AutoModelForMaskedLM")).__name__ == "BertForMaskedLM"
    tuned = open_model(tmp_path / "model", "AutoModelForSequenceClassification", ("a", "b"))
    assert torch.equal(tuned.bert.pooler.dense.weight, model.bert.pooler.dense.weight)
