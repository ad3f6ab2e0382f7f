"""A language model's answers at some positions: from features and a matrix, or from logits that a class made itself.

Shape letters: D width, P positions, V vocabulary.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch
import torch.nn.functional as F

from bmtool.models.kernels.cross_entropy import row_cross_entropy, summed_cross_entropy

if TYPE_CHECKING:
    from torch import Tensor


class LanguageHead(Protocol):
    """What a language model says at P positions."""

    def logits(self) -> Tensor:
        """(P, V)."""

    def loss(self, labels: Tensor, smoothing: float = 0.0) -> Tensor:
        """The cross-entropy with `labels` (P,), summed, in nats; `smoothing` of each is shared out among all tokens."""

    def scores(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The cross-entropy of each position in nats, (P,) float32, and whether its best token is the label, (P,)."""


@dataclass(frozen=True)
class LinearHead:
    """Features and the matrix they are multiplied with: all logits never exist at once."""

    features: Tensor
    """(P, D)"""
    weight: Tensor
    """(V, D)"""
    bias: Tensor | None
    """(V,)"""

    def logits(self) -> Tensor:
        """(P, V)."""
        return F.linear(self.features, self.weight, self.bias)

    def loss(self, labels: Tensor, smoothing: float = 0.0) -> Tensor:
        """The cross-entropy with `labels` (P,), summed, in nats; `smoothing` of each is shared out among all tokens.

        As all tokens' mean log-likelihood differs from the label's by what their mean logit does from the label's, it
        needs no logits but one a row: those of the label's vector less the mean vector.
        """
        loss = summed_cross_entropy(self.features, self.weight, self.bias, labels)
        if not smoothing:
            return loss
        lead = (self.features * (self.weight[labels] - self.weight.mean(dim=0))).sum(dtype=torch.float32)
        if self.bias is not None:
            lead = lead + (self.bias[labels] - self.bias.mean()).sum(dtype=torch.float32)
        return loss + smoothing * lead

    def scores(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The cross-entropy of each position in nats, (P,) float32, and whether its best token is the label, (P,)."""
        return row_cross_entropy(self.features, self.weight, self.bias, labels)


@dataclass(frozen=True)
class LogitsHead:
    """Logits as the model's own class computed them."""

    values: Tensor
    """(P, V)"""

    def logits(self) -> Tensor:
        """(P, V)."""
        return self.values

    def loss(self, labels: Tensor, smoothing: float = 0.0) -> Tensor:
        """The cross-entropy with `labels` (P,), summed, in nats; `smoothing` of each is shared out among all tokens."""
        return F.cross_entropy(self.values.float(), labels, reduction="sum", label_smoothing=smoothing)

    def scores(self, labels: Tensor) -> tuple[Tensor, Tensor]:
        """The cross-entropy of each position in nats, (P,) float32, and whether its best token is the label, (P,)."""
        nll = F.cross_entropy(self.values.float(), labels, reduction="none")
        return nll, self.values.argmax(-1) == labels
