"""What classes of transformers with a head give, in one form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch import Tensor


def logits_of(output: Any) -> Tensor:
    """(..., C) of a head with C logits; of one that looks for answers (..., 2), of starts and of ends."""
    if "start_logits" in output:
        return torch.stack([output.start_logits, output.end_logits], dim=-1)
    logits: Tensor = output.logits
    return logits
