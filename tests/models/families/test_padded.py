"""Models that can't be packed: rows of about equal length, the real tokens' answers alone, and no leak by padding."""

import dataclasses
import itertools
import sys
from pathlib import Path

import pytest
import torch
import transformers
from bmtool.errors import ConfigError
from bmtool.models.building.build import new_model
from bmtool.models.families.packed import (
    document_logits,
    drop_attention_dropout,
    lm_logits_at,
    padding_note,
    require_packed,
)
from bmtool.models.families.padded_rows import MAX_PADDING, rectangles
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[2]))
from packing import BERT_LIKE, CONFIGS, LABELS, LLAMA, PADDED, documents, make_batch


@settings(max_examples=30, deadline=None)
@given(lengths=st.lists(st.integers(1, 60), min_size=1, max_size=30))
def test_documents_stay_in_order_and_little_of_a_rectangle_is_padding(lengths):
    batch = make_batch(sorted(lengths, reverse=True))

    parts = list(rectangles(batch))

    assert torch.equal(torch.cat([part.input_ids for part in parts], dim=1), batch.input_ids)
    assert torch.equal(torch.cat([part.position_ids for part in parts], dim=1), batch.position_ids)
    assert list(itertools.chain.from_iterable(part.rows.tolist() for part in parts)) == batch.rows.tolist()
    for part in parts:
        assert part.max_length == part.cu_seq_lens.diff().max()
        assert part.num_tokens >= (1 - MAX_PADDING) * len(part.rows) * part.max_length


def test_documents_of_equal_length_run_as_one_rectangle():
    assert len(list(rectangles(make_batch([9] * 20)))) == 1


@pytest.mark.parametrize("family", ["deberta-v2", "albert"])
def test_the_output_layer_is_computed_at_the_asked_positions_only(family):
    model = new_model(CONFIGS[family](), "AutoModelForMaskedLM", seed=0)
    seen = []
    model.get_output_embeddings().register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].shape[0]))
    batch = make_batch([20, 19, 6, 6])

    logits = lm_logits_at(model, batch, torch.tensor([1, 4, 30, 50]))

    assert logits.shape == (4, 100)
    assert sum(seen) == 4


def test_a_head_that_multiplies_by_itself_is_read_at_the_positions():
    legacy = new_model(CONFIGS["deberta-v2"](), "AutoModelForMaskedLM", seed=0)
    model = new_model(transformers.DebertaV2Config(**BERT_LIKE, legacy=False), "AutoModelForMaskedLM", seed=0).eval()
    batch = make_batch([20, 19, 6, 6])
    positions = torch.tensor([1, 4, 30, 50])

    ours = lm_logits_at(model, batch, positions)

    ends = batch.cu_seq_lens[1:-1].long()
    alone = torch.cat([model(ids[None]).logits[0] for ids in batch.input_ids[0].tensor_split(ends)])[positions]
    assert (ours - alone).abs().max() < 1e-5
    assert type(model.get_output_embeddings()) is type(legacy.get_output_embeddings())


@pytest.mark.parametrize("family", PADDED)
def test_the_log_can_say_that_a_model_runs_padded(family):
    model = new_model(CONFIGS[family](), "AutoModel")

    assert padding_note(model) == (
        f"a '{model.config.model_type}' model can't be packed: texts of about equal length run together, padded"
    )
    assert padding_note(new_model(CONFIGS["bert"](), "AutoModel")) == ""


def test_a_padded_model_keeps_its_dropout_of_attention_probabilities():
    config = transformers.DebertaV2Config(**BERT_LIKE | {"attention_probs_dropout_prob": 0.1})
    model = new_model(config, "AutoModelForSequenceClassification", LABELS).train()

    note = drop_attention_dropout(model)

    assert note == ""
    assert model.deberta.encoder.layer[0].attention.self.dropout.p == 0.1
    assert torch.isfinite(document_logits(model, make_batch())).all()


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: transformers.ConvBertConfig(**BERT_LIKE, embedding_size=64), "other answers when a text is padded"),
        (lambda: transformers.FNetConfig(vocab_size=100, hidden_size=64, num_hidden_layers=1), "it can't be packed"),
        (lambda: transformers.T5Config(vocab_size=100, d_model=32, num_layers=1, d_ff=32), "an encoder and a decoder"),
    ],
)
def test_a_model_in_which_padding_would_leak_is_refused_by_name(make, said):
    config = make()

    with pytest.raises(ConfigError, match=rf"a '{config.model_type}' model .*{said}"):
        new_model(config, "AutoModel")


def test_a_decoder_that_is_not_packed_learns_the_next_words_of_each_document_alone():
    config = transformers.MistralConfig(**LLAMA)
    model = new_model(config, "AutoModelForCausalLM", seed=0)
    batch = dataclasses.replace(make_batch(), is_causal=True)
    positions = torch.tensor([0, 3, 30])

    logits = lm_logits_at(model, batch, positions)

    alone = torch.cat([model(ids).logits[0] for ids in documents(batch)])[positions]
    assert (logits - alone).abs().max() < 1e-5


@pytest.mark.parametrize("auto_class", ["AutoModelForMaskedLM", "AutoModelForCausalLM"])
def test_an_encoder_that_is_padded_is_not_trained_on_what_it_sees(auto_class):
    model = new_model(CONFIGS["rembert"](), auto_class)
    batch = dataclasses.replace(make_batch(), is_causal=True)

    with pytest.raises(ConfigError, match="sees the words that it shall predict"):
        lm_logits_at(model, batch, torch.tensor([0, 3, 30]))


def test_trying_a_model_leaves_it_as_it_was():
    model = new_model(CONFIGS["albert"](), "AutoModel").train()

    require_packed(model)

    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())
