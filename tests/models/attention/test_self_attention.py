"""Attention with joined projections gives what the class's own projections and packed attention give."""

import dataclasses
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from bmtool.models.attention import self_attention
from bmtool.models.attention.self_attention import kept_probabilities
from bmtool.models.building.build import new_model
from bmtool.models.families.packed import document_logits, hidden_states, lm_logits_at

sys.path.insert(0, str(Path(__file__).parents[2]))
from packing import CONFIGS, LABELS, make_batch

SHORT = [5, 5, 9, 1, 20]
#: More than a block holds, and none that is full.
MANY = [19] * 19
#: From here on documents are long, in these tests.
BORDER = 40
MIXED = [BORDER + 1, 20, BORDER, BORDER + 9, BORDER + 9, 3]


_parts_at = self_attention._parts_at


def masked(model, batch):
    return lm_logits_at(model, batch, torch.tensor([20, 3, batch.num_tokens - 1, 0]))


def run(monkeypatch, family, auto_class, answer, batch, *, joined, padding=0):
    labels = LABELS if "Classification" in auto_class else None
    model = new_model(CONFIGS[family](), auto_class, labels, seed=1)
    classes = self_attention._CLASSES if joined else ()
    with monkeypatch.context() as patch:
        patch.setattr(self_attention, "_CLASSES", classes)
        patch.setattr(self_attention, "SHORT_TOKENS", BORDER)
        patch.setattr(self_attention, "_parts_at", lambda *key: _parts_at(*key[:-1], padding))
        result = answer(model, batch)
    result.backward(torch.randn(result.shape, generator=torch.Generator().manual_seed(0)))
    return result.detach(), {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("padding", [0, 10_000], ids=["equal", "padded"])
@pytest.mark.parametrize("lengths", [SHORT, MIXED, MANY])
@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize(
    ("family", "auto_class", "answer"),
    [
        ("bert", "AutoModelForMaskedLM", masked),
        ("roberta", "AutoModel", hidden_states),
        ("xlm-roberta", "AutoModelForMaskedLM", masked),
        ("electra", "AutoModelForSequenceClassification", document_logits),
    ],
)
def test_joined_projections_give_what_separate_ones_do(
    monkeypatch, family, auto_class, answer, causal, lengths, padding
):
    batch = dataclasses.replace(make_batch(lengths), is_causal=causal)

    ours, gradients = run(monkeypatch, family, auto_class, answer, batch, joined=True, padding=padding)
    theirs, expected = run(monkeypatch, family, auto_class, answer, batch, joined=False)

    assert (ours - theirs).abs().max() < 1e-5
    assert gradients.keys() == expected.keys()
    largest = max(1.0, *(gradient.abs().max() for gradient in expected.values()))
    for name, gradient in expected.items():
        assert (gradients[name] - gradient).abs().max() < 1e-4 * largest, name


def test_in_the_last_layer_only_tokens_that_are_asked_for_look_at_others(monkeypatch):
    model, queries = new_model(CONFIGS["bert"](), "AutoModelForMaskedLM"), []
    attend = self_attention.attend_short
    monkeypatch.setattr(self_attention, "attend_short", lambda *given: queries.append(len(given[0])) or attend(*given))

    lm_logits_at(model, make_batch(SHORT), torch.tensor([7, 3, 7]))

    assert queries == [make_batch(SHORT).num_tokens, 2]


def test_a_batch_in_which_nothing_is_asked_for_goes_through():
    model = new_model(CONFIGS["bert"](), "AutoModelForMaskedLM")

    logits = lm_logits_at(model, make_batch(SHORT), torch.tensor([], dtype=torch.int64))
    logits.sum().backward()

    assert logits.shape == (0, model.config.vocab_size)


@pytest.mark.parametrize("lengths", [SHORT, MANY])
def test_bfloat16_is_as_near_to_float32_as_its_rounding(lengths):
    batch, generator = make_batch(lengths), torch.Generator().manual_seed(0)
    model = new_model(CONFIGS["bert"](), "AutoModel")
    joined = model.encoder.layer[0].attention.self
    states = torch.randn(1, batch.num_tokens, model.config.hidden_size, generator=generator)
    before = torch.backends.mkldnn.matmul.fp32_precision

    def attention(dtype):
        low = states.detach().to(dtype, copy=True).requires_grad_()
        with self_attention.joined_projections(joined.to(dtype)):
            out = joined(low, cu_seq_lens_q=batch.cu_seq_lens, max_length_q=batch.max_length)[0]
        out.float().square().sum().backward()
        return out.float(), low.grad.float()

    (high, of_high), (low, of_low) = attention(torch.float32), attention(torch.bfloat16)

    assert (low - high).norm() < 0.01 * high.norm()
    assert (of_low - of_high).norm() < 0.02 * of_high.norm()
    assert torch.backends.mkldnn.matmul.fp32_precision == before


def test_the_model_is_left_as_it_was():
    model = new_model(CONFIGS["bert"](), "AutoModel")
    before = model.state_dict().keys()

    hidden_states(model, make_batch(SHORT))

    assert not any("forward" in vars(module) for module in model.modules())
    assert model.state_dict().keys() == before


def bytes_left(model, batch):
    """What a pass leaves for the way back."""
    found = {}

    def note(tensor):
        found[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor.detach()

    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        states = hidden_states(model, batch)
    assert states.requires_grad
    return sum(found.values())


def test_probabilities_that_short_documents_leave_are_counted():
    model = new_model(CONFIGS["bert"](), "AutoModel", seed=1)
    lengths = np.array([62] * 8), np.array([14] * 32)

    long, short = (bytes_left(model, make_batch(each)) for each in lengths)

    # 512 tokens with those around each document, two layers of four heads; multiples of 16: nothing is padded
    expected = [4 * 2 * 512 * kept_probabilities(model, each + 2) for each in lengths]
    assert expected == [4 * 2 * 512 * 4 * length for length in (64, 16)]
    assert long - short == pytest.approx(expected[0] - expected[1], rel=0.02)


def test_long_documents_and_other_classes_leave_no_probabilities():
    bert, gpt = (new_model(CONFIGS[family](), "AutoModel", seed=1) for family in ("bert", "gpt2"))

    assert kept_probabilities(bert, np.array([513, 600])) == 0
    assert kept_probabilities(gpt, np.array([20])) == 0
    assert kept_probabilities(bert, np.array([], np.int64)) == 0
