"""How far one model's answers are from another's, where a small model learns from a large one.

Shape letters: C labels, N documents.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from torch import Tensor


def label_divergence(logits: Tensor, other: Tensor, temperature: float) -> Tensor:
    """KL(other, own) of softmax(logits / T) of (N, C) logits, times T^2, summed over documents, in nats.

    With T^2 its gradient stays as large as that of a cross-entropy, whatever T is (Hinton et al. 2015, "Distilling the
    knowledge in a neural network", section 2).
    """
    own, wanted = (F.log_softmax(part.float() / temperature, dim=-1) for part in (logits, other))
    return temperature**2 * F.kl_div(own, wanted, reduction="sum", log_target=True)


def set_divergence(logits: Tensor, other: Tensor, temperature: float) -> Tensor:
    """The same where each of C logits is a yes or no by itself, its mean over the labels summed over documents."""
    own, wanted = (torch.stack([part, torch.zeros_like(part)], dim=-1) for part in (logits, other))
    return label_divergence(own, wanted, temperature) / logits.shape[1]
