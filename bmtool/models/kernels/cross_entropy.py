"""Cross-entropy over a large vocabulary, a few rows at a time, so that all logits never exist at once.

Shape letters: D width, P rows, V vocabulary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from bmtool.models.kernels.products import product, weight_gradient

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

#: Logits computed at once: 16 MB in bfloat16. Each chunk adds a whole matrix of gradients to a float32 total: in
#: chunks of 4 M logits a step of GPT 4x256 took 16 % longer; of 16 M, as long.
CHUNK_LOGITS = 2**23

#: Likelihoods under this are computed again from the logits: the logarithm of 0 isn't finite.
TINY = 1e-30


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
    logits = product(features, weight, bias)
    largest, best = logits.max(dim=-1)
    probabilities = torch.softmax(logits, dim=-1, dtype=torch.float32)
    of_label = logits.gather(1, labels[:, None])[:, 0]
    nll = largest.float() - of_label.float() - probabilities.gather(1, best[:, None])[:, 0].log()
    return probabilities, nll, best


def _gradients(
    features: Tensor, weight: Tensor, bias: Tensor | None, labels: Tensor, room: Tensor
) -> tuple[Tensor, Tensor]:
    """Softmax minus one at the label, (P, V) in the features' type, and the negative log-likelihoods (P,).

    On the CPU logits, probabilities and gradients take each other's place in `room`, (P or more, V): fresh memory costs
    as much as the arithmetic. In bfloat16 a probability near 1 has two digits left, so that there the label's part is
    taken from the sum of all others. Single values are read and set by their flat place, and sums are products with
    ones: in bfloat16, torch's `scatter_` along a row and `sum` copy the whole matrix (20 times slower).
    """
    if features.device.type != "cpu":
        probabilities, nll, _ = _softmax(features, weight, bias, labels)
        probabilities.scatter_add_(1, labels[:, None], -torch.ones_like(nll)[:, None])
        return probabilities.to(features.dtype), nll
    rows = product(features, weight, bias, room=room[: len(labels)])
    torch.softmax(rows, dim=-1, out=rows)
    flat, places = rows.view(-1), torch.arange(len(labels)) * rows.shape[1] + labels
    likelihood = flat.index_select(0, places).float()
    flat.index_fill_(0, places, 0)
    others = torch.mv(rows, rows.new_ones(rows.shape[1])).float()
    flat.index_copy_(0, places, -others.to(rows.dtype))
    nll = torch.where(likelihood < 0.5, -likelihood.log(), -torch.log1p(-others.clamp(max=0.75)))
    hopeless = (likelihood < TINY).nonzero()[:, 0]
    if len(hopeless):
        nll[hopeless] = _softmax(features[hopeless], weight, bias, labels[hopeless])[1]
    return rows, nll


class _SummedCrossEntropy(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, features: Tensor, weight: Tensor, bias: Tensor | None, labels: Tensor) -> Tensor:
        wants_features, wants_weight, wants_bias, _ = ctx.needs_input_grad
        total = torch.zeros((), dtype=torch.float32, device=features.device)
        grad_features = torch.empty_like(features) if wants_features else None
        # Without rows nothing is added up, and gradients are zeros.
        grad_weight = torch.zeros_like(weight) if wants_weight and not len(labels) else None
        grad_bias = torch.zeros_like(bias) if bias is not None and wants_bias and not len(labels) else None
        chunks = list(_chunks(len(labels), weight.shape[0]))
        room = features.new_empty(chunks[0].stop if chunks else 0, weight.shape[0])
        for rows in chunks:
            grad, nll = _gradients(features[rows], weight, bias, labels[rows], room)
            total += nll.sum()
            if grad_features is not None:
                grad_features[rows] = product(grad, weight.t())
            if wants_weight:
                grad_weight = _added(grad_weight, weight_gradient(grad, features[rows]))
            if wants_bias:
                grad_bias = _added(grad_bias, (grad.new_ones(1, len(grad)) @ grad)[0])
        ctx.gradients = grad_features, grad_weight, grad_bias
        ctx.dtypes = features.dtype, weight.dtype, weight.dtype if bias is None else bias.dtype
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        # They are this node's own, and scaled where they lie: a second backward finds none.
        gradients, ctx.gradients = ctx.gradients, None
        if gradients is None:
            raise RuntimeError("the gradients of this cross-entropy have been taken already")
        pairs = zip(gradients, ctx.dtypes, strict=True)
        return (*(None if gradient is None else gradient.mul_(grads[0]).to(dtype) for gradient, dtype in pairs), None)


def _added(total: Tensor | None, part: Tensor) -> Tensor:
    """The sum so far, in float32 as soon as there are two parts."""
    return part if total is None else total.float().add_(part)
