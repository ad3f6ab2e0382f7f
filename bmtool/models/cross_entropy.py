"""Cross-entropy over a large vocabulary, a few rows at a time, so that all logits never exist at once.

Shape letters: D width, P rows, V vocabulary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

#: Logits computed at once. 2 M logits are 8 MB in float32; larger chunks were not faster, smaller ones cost more calls.
CHUNK_LOGITS = 2**21


def summed_cross_entropy(features: Tensor, weight: Tensor, bias: Tensor | None, labels: Tensor) -> Tensor:
    """The cross-entropy of `features @ weight.T + bias` with `labels`, summed over rows, in float32.

    Gradients are computed in the forward pass, while a chunk's logits are there; softmax and sums are float32 also for
    bfloat16 features (P, D) and weight (V, D).
    """
    total: Tensor = _SummedCrossEntropy.apply(features, weight, bias, labels)  # type: ignore[no-untyped-call]
    return total


@torch.no_grad()
def row_cross_entropy(features: Tensor, weight: Tensor, bias: Tensor | None, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The cross-entropy of each row in nats, (P,) float32, and whether its largest logit is the label's, (P,) bool."""
    nll = torch.empty(len(labels), dtype=torch.float32, device=features.device)
    hits = torch.empty(len(labels), dtype=torch.bool, device=features.device)
    for rows in _chunks(len(labels), weight.shape[0]):
        _, nll[rows], best = _softmax(features[rows], weight, bias, labels[rows])
        hits[rows] = best == labels[rows]
    return nll, hits


def _chunks(num_rows: int, vocab_size: int) -> Iterator[slice]:
    size = max(16, CHUNK_LOGITS // vocab_size)
    for start in range(0, num_rows, size):
        yield slice(start, min(start + size, num_rows))


def _softmax(features: Tensor, weight: Tensor, bias: Tensor | None, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Probabilities (P, V), negative log-likelihoods (P,) and the best tokens (P,).

    With m the largest logit, its probability is 1 / sum(exp(z - m)): so nll = m - z[label] - log p[best], from one
    exponential a logit, and without losing tiny probabilities.
    """
    logits = F.linear(features, weight, bias)
    largest, best = logits.max(dim=-1)
    probabilities = torch.softmax(logits, dim=-1, dtype=torch.float32)
    of_label = logits.gather(1, labels[:, None])[:, 0]
    nll = largest.float() - of_label.float() - probabilities.gather(1, best[:, None])[:, 0].log()
    return probabilities, nll, best


class _SummedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, bias: Tensor | None, labels: Tensor) -> Tensor:
        wants_features, wants_weight, wants_bias, _ = ctx.needs_input_grad
        total = torch.zeros((), dtype=torch.float32, device=features.device)
        grad_features = torch.empty_like(features) if wants_features else None
        grad_weight = torch.zeros_like(weight, dtype=torch.float32) if wants_weight else None
        grad_bias = torch.zeros_like(bias, dtype=torch.float32) if bias is not None and wants_bias else None
        for rows in _chunks(len(labels), weight.shape[0]):
            grad, nll, _ = _softmax(features[rows], weight, bias, labels[rows])
            total += nll.sum()
            grad[torch.arange(len(nll), device=grad.device), labels[rows]] -= 1
            if grad_bias is not None:
                grad_bias += grad.sum(0)
            grad = grad.to(features.dtype)
            if grad_features is not None:
                torch.mm(grad, weight, out=grad_features[rows])
            if grad_weight is not None:
                _add_product(grad_weight, grad, features[rows])
        ctx.save_for_backward(grad_features, grad_weight, grad_bias)
        ctx.dtype = weight.dtype
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        scale, dtype = grads[0], ctx.dtype
        features, weight, bias = ctx.saved_tensors
        return (
            None if features is None else (features.float() * scale).to(dtype),
            None if weight is None else (weight * scale).to(dtype),
            None if bias is None else (bias * scale).to(dtype),
            None,
        )


def _add_product(total: Tensor, grad: Tensor, features: Tensor) -> None:
    """Add `grad.T @ features` to a float32 total."""
    if grad.dtype == torch.float32:
        total.addmm_(grad.t(), features)
    else:
        total += grad.t() @ features
