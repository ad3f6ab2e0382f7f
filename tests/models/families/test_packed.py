"""A batch gives what each of its documents gives alone, whether its family is packed or padded."""

import dataclasses
import sys
from pathlib import Path

import pytest
import torch
import transformers
from bmtool.errors import ConfigError
from bmtool.models.attention.documents import attend, packed_attention
from bmtool.models.building.build import new_model
from bmtool.models.families.family import FAMILIES, family_for
from bmtool.models.families.packed import (
    document_logits,
    document_rows,
    drop_attention_dropout,
    hidden_states,
    lm_logits_at,
    lm_loss_at,
    lm_scores_at,
    logits_from,
    token_logits,
)
from bmtool.models.families.positions import longest_document

sys.path.insert(0, str(Path(__file__).parents[2]))
from packing import BERT_LIKE, CONFIGS, LABELS, LENGTHS, PACKED, assert_equal, documents, make_batch, make_pair


def test_every_family_that_is_packed_is_tested():
    assert set(PACKED) == set(FAMILIES)
    assert {name for name in CONFIGS if not family_for(CONFIGS[name]()).pads} == set(PACKED)


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

    ours = document_logits(packed, batch)
    theirs = torch.cat([alone(ids).logits for ids in documents(batch)])

    assert ours.shape == (len(LENGTHS), 3)
    assert_equal(packed, alone, ours, theirs)


@pytest.mark.parametrize("family", PACKED)
def test_the_head_alone_gives_of_what_it_reads_what_the_whole_model_gives(family):
    model, _ = make_pair(family, "AutoModelForSequenceClassification", LABELS)
    batch = make_batch()
    whole = document_logits(model, batch)

    rows = document_rows(model, batch)
    ours = logits_from(model, rows)

    assert rows.shape == (len(LENGTHS), 64)
    assert torch.allclose(ours, whole, atol=1e-6)
    assert torch.equal(document_logits(model, batch), whole)  # the model is what it was


def test_what_the_head_of_a_padded_model_reads_is_not_known():
    model, _ = make_pair("deberta-v2", "AutoModelForSequenceClassification", LABELS)

    with pytest.raises(ConfigError) as error:
        document_rows(model, make_batch())

    assert str(error.value) == (
        "what the head of a 'deberta-v2' model reads isn't known, so it can't be kept. Known are bert, roberta, "
        "xlm-roberta, modernbert, electra, distilbert, gpt2, llama, qwen3"
    )


@pytest.mark.parametrize("family", CONFIGS)
def test_token_logits_are_those_of_each_document_alone(family):
    packed, alone = make_pair(family, "AutoModelForTokenClassification", LABELS)
    batch = make_batch()

    ours = token_logits(packed, batch)
    theirs = torch.cat([alone(ids).logits[0] for ids in documents(batch)])

    assert ours.shape == (batch.num_tokens, 3)
    assert_equal(packed, alone, ours, theirs)


@pytest.mark.parametrize("family", CONFIGS)
def test_a_language_model_at_positions_is_that_of_each_document_alone(family):
    auto_class = "AutoModelForCausalLM" if family_for(CONFIGS[family]()).is_decoder else "AutoModelForMaskedLM"
    packed, alone = make_pair(family, auto_class)
    batch = make_batch()
    positions = torch.tensor([0, 3, 7, 8, 30, batch.num_tokens - 1])
    theirs = torch.cat([alone(ids).logits[0] for ids in documents(batch)])[positions]
    best = theirs.argmax(-1)

    ours = lm_logits_at(packed, batch, positions)
    nll, hits = lm_scores_at(packed, batch, positions, best)
    loss = lm_loss_at(packed, batch, positions, best)

    assert hits.all()
    wanted = -theirs.log_softmax(-1).max(-1).values
    assert torch.allclose(nll, wanted, atol=1e-5)
    assert loss.item() == pytest.approx(wanted.sum().item(), abs=1e-4)
    assert_equal(packed, alone, ours, theirs)


@pytest.mark.parametrize("family", ["bert", "roberta", "xlm-roberta", "electra"])
def test_behind_attention_the_last_layer_computes_only_what_is_asked_for(family):
    model, _ = make_pair(family, "AutoModelForMaskedLM")
    layers = model.base_model.encoder.layer
    rows = []
    for layer in layers:
        layer.output.register_forward_hook(lambda *given: rows.append(given[2].shape[1]))

    lm_logits_at(model, make_batch(), torch.tensor([0, 7, 8]))
    some = rows.copy()
    rows.clear()
    hidden_states(model, make_batch())

    assert some == [sum(LENGTHS) + 2 * len(LENGTHS), 3]
    assert rows == [sum(LENGTHS) + 2 * len(LENGTHS)] * 2
    assert not layers[-1].attention.output._forward_pre_hooks


@pytest.mark.parametrize("pooling", ["cls", "mean"])
def test_modernbert_pools_each_document_as_its_configuration_says(pooling):
    packed, alone = make_pair("modernbert", "AutoModelForSequenceClassification", LABELS, classifier_pooling=pooling)
    batch = make_batch()

    ours = document_logits(packed, batch)
    theirs = torch.cat([alone(ids).logits for ids in documents(batch)])

    assert_equal(packed, alone, ours, theirs)


def test_modernbert_sees_its_window_in_documents_that_are_cut_into_blocks():
    packed, alone = make_pair("modernbert", "AutoModel", local_attention=128)
    batch = make_batch([700, 700, 90, 330])

    ours = hidden_states(packed, batch)
    theirs = torch.cat([alone(ids).last_hidden_state[0] for ids in documents(batch)])

    assert_equal(packed, alone, ours, theirs)


def test_modernbert_reads_its_longest_document_among_short_ones():
    changes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "local_attention": 128}
    packed, alone = make_pair("modernbert", "AutoModel", **changes)
    assert packed.config.layer_types[:2] == ["full_attention", "sliding_attention"]
    batch = make_batch([12, 8192, 5, 90])

    with torch.no_grad():
        ours = hidden_states(packed, batch)
        theirs = torch.cat([alone(ids).last_hidden_state[0] for ids in documents(batch)])

    assert (ours - theirs).abs().max() < 1e-5


def test_qwen3_sees_its_window_to_the_left():
    changes = {"sliding_window": 6, "layer_types": ["full_attention", "sliding_attention"]}
    packed, alone = make_pair("qwen3", "AutoModel", **changes)
    batch = make_batch([5, 40, 12])

    ours = hidden_states(packed, batch)
    theirs = torch.cat([alone(ids, use_cache=False).last_hidden_state[0] for ids in documents(batch)])

    assert_equal(packed, alone, ours, theirs)


@pytest.mark.parametrize("family", ["bert", "deberta-v2"])
def test_another_document_in_the_batch_changes_nothing(family):
    packed, _ = make_pair(family, "AutoModel")
    batch = make_batch([7, 12])
    other = make_batch([7, 12], seed=9)
    mixed = dataclasses.replace(batch, input_ids=torch.cat([batch.input_ids[:, :9], other.input_ids[:, 9:]], dim=1))

    assert torch.equal(hidden_states(packed, batch)[:9], hidden_states(packed, mixed)[:9])
    assert not torch.equal(hidden_states(packed, batch)[9:], hidden_states(packed, mixed)[9:])


@pytest.mark.parametrize("family", PACKED)
def test_tokens_of_a_causal_batch_see_only_what_is_before_them(family):
    model = new_model(CONFIGS[family](), "AutoModel", seed=1).eval()
    batch = dataclasses.replace(make_batch([12]), is_causal=True)
    other = dataclasses.replace(batch, input_ids=batch.input_ids.clone())
    other.input_ids[0, 11] = 50

    with torch.no_grad():
        first, second = hidden_states(model, batch), hidden_states(model, other)

    assert torch.equal(first[:11], second[:11])
    assert not torch.equal(first[11], second[11])


@pytest.mark.parametrize("family", ["gpt2", "llama", "qwen3"])
def test_a_decoder_reads_the_last_token_that_is_no_padding(family):
    packed, alone = make_pair(family, "AutoModelForSequenceClassification", LABELS)
    batch = make_batch([4, 6])
    batch.input_ids[0, 5] = 0  # the end of the first document
    batch.input_ids[0, 4] = 0

    ours = document_logits(packed, batch)

    theirs = torch.cat([alone(ids).logits for ids in documents(batch)])
    assert (ours - theirs).abs().max() < 1e-5


@pytest.mark.parametrize("family", ["bert", "modernbert"])
@pytest.mark.parametrize("lengths", [[3, 400, 400, 7], [500], [1, 1, 1]])
def test_bfloat16_stays_close_to_float32_for_short_and_long_documents(family, lengths):
    model = new_model(CONFIGS[family](), "AutoModel", seed=1)
    batch = make_batch(lengths)
    exact = hidden_states(model, batch)

    rough = hidden_states(model.to(torch.bfloat16), batch)

    assert rough.dtype == torch.bfloat16
    assert (rough.float() - exact).abs().mean() < 0.02
    rough.sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize(("heads", "causal", "window"), [(2, True, None), (1, True, 3), (2, False, 3)])
def test_operator_is_well_formed(heads, causal, window):
    query = torch.randn(1, 2, 12, 8, requires_grad=True)
    key, value = (torch.randn(1, heads, 12, 8, requires_grad=True) for _ in range(2))
    borders = torch.tensor([0, 5, 12], dtype=torch.int32)

    torch.library.opcheck(packed_attention, (query, key, value, borders, causal, window, 0.3))


def test_a_model_with_another_attention_is_refused():
    model = new_model(CONFIGS["bert"](), "AutoModel", attention="sdpa")

    with pytest.raises(ConfigError) as error:
        hidden_states(model, make_batch())

    assert str(error.value) == (
        "the model runs with attention 'sdpa', in which packed documents see each other; "
        "open it with bmtool.models.files.checkpoint.open_model(..., attention='packed')"
    )


def test_an_encoder_that_is_used_as_a_decoder_is_refused():
    with pytest.raises(ConfigError) as error:
        new_model(transformers.BertConfig(**BERT_LIKE, is_decoder=True), "AutoModel")

    assert str(error.value) == "a 'bert' that is used as a decoder can't be packed. Use 'gpt2' instead"


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


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"attention_mask": torch.ones(1, 12)}, "takes document borders"),
        ({"cu_seq_lens_q": None}, "takes document borders"),
        ({"max_length_q": None}, "takes document borders"),
        ({"key": torch.randn(1, 2, 15, 8)}, "has no cache: 12 queries, 15 keys"),
        ({"softcap": 30.0}, "doesn't implement 'softcap'"),
    ],
)
def test_what_packed_attention_cannot_honour_is_refused(given, said):
    states = torch.randn(1, 2, 12, 8)
    borders = torch.tensor([0, 12], dtype=torch.int32)
    right = {"query": states, "key": states, "value": states, "attention_mask": None, "cu_seq_lens_q": borders}

    with pytest.raises(ConfigError, match=said):
        attend(torch.nn.Identity(), **{**right, "max_length_q": 12, **given})


@pytest.mark.parametrize(("family", "length"), [("bert", 512), ("roberta", 510), ("gpt2", 1024), ("modernbert", 8192)])
def test_a_model_has_as_many_positions_as_a_document_may_use(family, length):
    assert longest_document(CONFIGS[family]()) == length
