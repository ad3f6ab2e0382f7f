"""The chunked cross-entropy is torch's, value and gradients."""

import math

import pytest
import torch
import torch.nn.functional as F
from bmtool.models.kernels import cross_entropy
from bmtool.models.kernels.cross_entropy import row_cross_entropy, summed_cross_entropy


def make_inputs(dtype, *, bias=True, rows=70, width=16, vocabulary=53):
    torch.manual_seed(0)
    features = torch.randn(rows, width, dtype=dtype, requires_grad=True)
    weight = torch.randn(vocabulary, width, dtype=dtype, requires_grad=True)
    offsets = torch.randn(vocabulary, dtype=dtype, requires_grad=True) if bias else None
    return features, weight, offsets, torch.randint(0, vocabulary, (rows,))


def torch_gradients(features, weight, offsets, labels, scale):
    exact = [None if t is None else t.detach().float().requires_grad_() for t in (features, weight, offsets)]
    loss = F.cross_entropy(F.linear(*exact), labels, reduction="sum")
    (loss * scale).backward()
    return loss, [None if t is None else t.grad for t in exact]


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("chunk_logits", [1, 53 * 20, 10**9])
def test_float32_equals_torch_for_any_chunk(monkeypatch, chunk_logits, bias):
    monkeypatch.setattr(cross_entropy, "CHUNK_LOGITS", chunk_logits)
    features, weight, offsets, labels = make_inputs(torch.float32, bias=bias)
    expected, gradients = torch_gradients(features, weight, offsets, labels, 0.25)

    loss = summed_cross_entropy(features, weight, offsets, labels)
    (loss * 0.25).backward()

    assert torch.allclose(loss, expected, rtol=1e-6)
    for ours, theirs in zip((features, weight, offsets), gradients, strict=True):
        assert ours is None or torch.allclose(ours.grad, theirs, atol=1e-5)


def test_bfloat16_gradients_stay_within_its_rounding():
    features, weight, offsets, labels = make_inputs(torch.bfloat16)
    expected, gradients = torch_gradients(features, weight, offsets, labels, 1 / 70)

    loss = summed_cross_entropy(features, weight, offsets, labels)
    (loss / 70).backward()

    assert loss.dtype == torch.float32
    assert abs(loss - expected) / expected < 0.01
    for ours, theirs in zip((features, weight, offsets), gradients, strict=True):
        assert ours.grad.dtype == torch.bfloat16
        assert (ours.grad.float() - theirs).abs().max() < 0.02 * theirs.abs().max()


def test_rows_give_the_same_sum_and_say_which_labels_are_best():
    features, weight, offsets, labels = make_inputs(torch.float32)
    logits = F.linear(features, weight, offsets)
    labels[:5] = logits.argmax(-1)[:5]

    nll, hits = row_cross_entropy(features, weight, offsets, labels)

    assert torch.allclose(nll, F.cross_entropy(logits, labels, reduction="none"), atol=1e-5)
    assert torch.equal(hits, logits.argmax(-1) == labels)
    assert hits[:5].all()


def test_a_hopeless_label_has_a_finite_loss():
    features, weight = torch.tensor([[200.0]]), torch.tensor([[1.0], [-1.0]])

    nll, _ = row_cross_entropy(features, weight, None, torch.tensor([1]))

    assert nll.item() == pytest.approx(400.0)


def test_frozen_inputs_get_no_gradient():
    features, weight, _, labels = make_inputs(torch.float32)

    summed_cross_entropy(features.detach(), weight, None, labels).backward()

    assert features.grad is None
    assert weight.grad is not None


def test_a_hopeless_label_costs_what_it_should_in_training():
    features, weight = torch.tensor([[200.0]], requires_grad=True), torch.tensor([[1.0], [-1.0]])

    loss = summed_cross_entropy(features, weight, None, torch.tensor([1]))
    loss.backward()

    assert loss.item() == pytest.approx(400.0)
    assert features.grad.item() == pytest.approx(2.0)


def test_a_label_that_is_almost_sure_still_has_a_loss_and_a_gradient_in_bfloat16():
    logits = torch.tensor([[8.0] + [0.0] * 3])
    features, weight = torch.ones(1, 1, dtype=torch.bfloat16), logits.t().bfloat16().requires_grad_()
    expected = F.cross_entropy(logits, torch.tensor([0]))

    loss = summed_cross_entropy(features, weight, None, torch.tensor([0]))
    loss.backward()

    assert torch.softmax(logits, -1).bfloat16()[0, 0] == 1
    assert loss.item() == pytest.approx(expected.item(), rel=0.01)
    assert weight.grad[0, 0].item() == pytest.approx(math.expm1(-expected.item()), rel=0.01)


def test_gradients_are_given_once():
    features, weight, _, labels = make_inputs(torch.float32)
    loss = summed_cross_entropy(features, weight, None, labels)

    loss.backward(retain_graph=True)

    with pytest.raises(RuntimeError, match="taken already"):
        loss.backward()
