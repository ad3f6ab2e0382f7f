"""A packed batch gives what each document gives alone."""

import dataclasses

import numpy as np
import pytest
import torch
import transformers
from bmtool.contracts import Batch, Examples
from bmtool.data.tokens import InMemoryTokens
from bmtool.errors import ConfigError
from bmtool.models.batches import pack
from bmtool.models.build import new_model
from bmtool.models.families import FAMILIES
from bmtool.models.packed import (
    document_logits,
    drop_attention_dropout,
    hidden_states,
    lm_logits_at,
    lm_scores_at,
    set_dropout,
    token_logits,
)

LENGTHS = [5, 5, 9, 13, 1, 20]
VOCABULARY = 100
BERT_LIKE = {
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 128,
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
DISTILBERT = {"dim": 64, "n_layers": 2, "n_heads": 4, "hidden_dim": 128, "dropout": 0.0, "attention_dropout": 0.0}
GPT2 = {
    "n_embd": 64,
    "n_layer": 2,
    "n_head": 4,
    "resid_pdrop": 0.0,
    "embd_pdrop": 0.0,
    "attn_pdrop": 0.0,
    "classifier_dropout": 0.0,
    "bos_token_id": 1,
    "eos_token_id": 1,
}
LLAMA = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
CONFIGS = {
    "bert": lambda: transformers.BertConfig(**BERT_LIKE),
    "roberta": lambda: transformers.RobertaConfig(**BERT_LIKE),
    "electra": lambda: transformers.ElectraConfig(**BERT_LIKE, embedding_size=64),
    "distilbert": lambda: transformers.DistilBertConfig(vocab_size=VOCABULARY, seq_classif_dropout=0.0, **DISTILBERT),
    "gpt2": lambda: transformers.GPT2Config(vocab_size=VOCABULARY, pad_token_id=0, **GPT2),
    "llama": lambda: transformers.LlamaConfig(
        vocab_size=VOCABULARY, intermediate_size=128, head_dim=16, pad_token_id=0, **LLAMA
    ),
}
LABELS = ("a", "b", "c")


def make_batch(lengths=LENGTHS, seed=0) -> Batch:
    lengths = np.array(lengths)
    ids = np.random.default_rng(seed).integers(5, VOCABULARY, lengths.sum())
    examples = Examples(InMemoryTokens(ids), np.cumsum(lengths) - lengths, lengths, (2,), (3,), {})
    return pack(examples, np.arange(len(lengths)))


def documents(batch: Batch) -> list[torch.Tensor]:
    return [ids[None] for ids in batch.input_ids[0].tensor_split(batch.cu_seq_lens[1:-1].long())]


def make_pair(family: str, auto_class: str, labels=None):
    """The same weights with packed attention and with transformers' own."""
    packed = new_model(CONFIGS[family](), auto_class, labels, seed=1).train()
    alone = new_model(CONFIGS[family](), auto_class, labels, seed=2, attention="sdpa").train()
    alone.load_state_dict(packed.state_dict())
    return packed, alone


def assert_equal(packed, alone, ours: torch.Tensor, theirs: torch.Tensor) -> None:
    """Forward within 1e-5; gradients of every weight within 1e-4 of the largest."""
    direction = torch.randn(ours.shape, generator=torch.Generator().manual_seed(0))
    ours.backward(direction)
    theirs.backward(direction)

    assert (ours - theirs).abs().max() < 1e-5
    largest = max(p.grad.abs().max() for p in alone.parameters() if p.grad is not None)
    compared = 0
    for (name, ours_p), theirs_p in zip(packed.named_parameters(), alone.parameters(), strict=True):
        if theirs_p.grad is not None:
            assert (ours_p.grad - theirs_p.grad).abs().max() < 1e-4 * max(1.0, largest), name
            compared += 1
    assert compared > 5


def test_every_family_is_tested():
    assert set(CONFIGS) == set(FAMILIES)


@pytest.mark.parametrize("family", CONFIGS)
def test_hidden_states_are_those_of_each_document_alone(family):
    packed, alone = make_pair(family, "AutoModel")
    batch = make_batch()

    ours = hidden_states(packed, batch)
    theirs = torch.cat([alone(ids).last_hidden_state[0] for ids in documents(batch)])

    assert_equal(packed, alone, ours, theirs)


@pytest.mark.parametrize("family", CONFIGS)
def test_document_logits_are_those_of_each_document_alone(family):
    packed, alone = make_pair(family, "AutoModelForSequenceClassification", LABELS)
    batch = make_batch()
    set_dropout(packed, 0.0)
    set_dropout(alone, 0.0)

    ours = document_logits(packed, batch)
    theirs = torch.cat([alone(ids).logits for ids in documents(batch)])

    assert ours.shape == (len(LENGTHS), 3)
    assert_equal(packed, alone, ours, theirs)


@pytest.mark.parametrize("family", CONFIGS)
def test_token_logits_are_those_of_each_document_alone(family):
    packed, alone = make_pair(family, "AutoModelForTokenClassification", LABELS)
    batch = make_batch()
    set_dropout(packed, 0.0)
    set_dropout(alone, 0.0)

    ours = token_logits(packed, batch)
    theirs = torch.cat([alone(ids).logits[0] for ids in documents(batch)])

    assert ours.shape == (batch.num_tokens, 3)
    assert_equal(packed, alone, ours, theirs)


@pytest.mark.parametrize("family", CONFIGS)
def test_language_model_logits_at_positions_are_those_of_the_whole_head(family):
    auto_class = "AutoModelForCausalLM" if FAMILIES[family].is_decoder else "AutoModelForMaskedLM"
    packed, alone = make_pair(family, auto_class)
    batch = make_batch()
    positions = torch.tensor([0, 3, 7, 8, 30, batch.num_tokens - 1])
    theirs = torch.cat([alone(ids).logits[0] for ids in documents(batch)])[positions]

    ours = lm_logits_at(packed, batch, positions)

    assert (ours - theirs).abs().max() < 1e-5
    nll, hits = lm_scores_at(packed, batch, positions, theirs.argmax(-1))
    assert hits.all()
    assert torch.allclose(nll, -theirs.log_softmax(-1).max(-1).values, atol=1e-5)


def test_another_document_in_the_batch_changes_nothing():
    packed, _ = make_pair("bert", "AutoModel")
    batch = make_batch([7, 12])
    other = make_batch([7, 12], seed=9)
    mixed = dataclasses.replace(batch, input_ids=torch.cat([batch.input_ids[:, :9], other.input_ids[:, 9:]], dim=1))

    assert torch.equal(hidden_states(packed, batch)[:9], hidden_states(packed, mixed)[:9])
    assert not torch.equal(hidden_states(packed, batch)[9:], hidden_states(packed, mixed)[9:])


def test_a_decoder_reads_the_last_token_that_is_no_padding():
    packed, alone = make_pair("gpt2", "AutoModelForSequenceClassification", LABELS)
    batch = make_batch([4, 6])
    batch.input_ids[0, 5] = 0  # the end of the first document
    batch.input_ids[0, 4] = 0

    ours = document_logits(packed, batch)

    theirs = torch.cat([alone(ids).logits for ids in documents(batch)])
    assert (ours - theirs).abs().max() < 1e-5


@pytest.mark.parametrize("lengths", [[3, 400, 400, 7], [500], [1, 1, 1]])
def test_bfloat16_stays_close_to_float32_for_short_and_long_documents(lengths):
    model = new_model(CONFIGS["bert"](), "AutoModel", seed=1)
    batch = make_batch(lengths)
    exact = hidden_states(model, batch)

    rough = hidden_states(model.to(torch.bfloat16), batch)

    assert rough.dtype == torch.bfloat16
    assert (rough.float() - exact).abs().mean() < 0.02
    rough.sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_operator_is_well_formed():
    from bmtool.models.attention import packed_attention

    query, key, value = (torch.randn(1, 2, 12, 8, requires_grad=True) for _ in range(3))
    borders = torch.tensor([0, 5, 12], dtype=torch.int32)

    torch.library.opcheck(packed_attention, (query, key, value, borders, True, 0.3))


def test_a_model_with_another_attention_is_refused():
    model = new_model(CONFIGS["bert"](), "AutoModel", attention="sdpa")

    with pytest.raises(ConfigError) as error:
        hidden_states(model, make_batch())

    assert str(error.value) == (
        "the model runs with attention 'sdpa', in which packed documents see each other; "
        "open it with bmtool.models.checkpoint.open_model(..., attention='packed')"
    )


def test_a_family_that_is_not_known_is_refused_by_name():
    config = transformers.AlbertConfig(**BERT_LIKE)
    model = new_model(config, "AutoModel")

    with pytest.raises(ConfigError) as error:
        hidden_states(model, make_batch())

    assert str(error.value) == (
        "a model of type 'albert' can't be trained on packed batches. "
        "Use one of bert, distilbert, electra, gpt2, llama, roberta"
    )


def test_attention_dropout_is_refused_until_it_is_switched_off():
    config = transformers.BertConfig(**BERT_LIKE | {"attention_probs_dropout_prob": 0.1, "hidden_dropout_prob": 0.2})
    model = new_model(config, "AutoModel").train()

    with pytest.raises(ConfigError, match="has no dropout of attention probabilities"):
        hidden_states(model, make_batch())
    note = drop_attention_dropout(model)
    again = drop_attention_dropout(model)

    assert note == "dropout of attention probabilities is off (the model asks for 0.1): packed attention has none"
    assert again == ""
    assert model.encoder.layer[0].output.dropout.p == 0.2
    assert torch.isfinite(hidden_states(model, make_batch())).all()


def test_a_sliding_window_shorter_than_a_document_is_refused():
    from bmtool.models.attention import attend

    query = torch.randn(1, 2, 12, 8)
    borders = torch.tensor([0, 12], dtype=torch.int32)

    with pytest.raises(ConfigError, match="longer than the model's sliding window"):
        attend(torch.nn.Identity(), query, query, query, None, cu_seq_lens_q=borders, max_length_q=12, sliding_window=8)
