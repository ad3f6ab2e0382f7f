"""Take trained weights a part of the way back to the start: most of what was learned stays, little is forgotten."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bmtool.train.states.checkpoints import MODEL

if TYPE_CHECKING:
    from bmtool.train.states.recovery import Start
    from bmtool.train.weights.base import Weights


def average_with(start: Start, weights: Weights) -> None:
    """Set the weights to `start.share` of the start's and the rest of their own, as they are after the last step.

    WiSE-FT: Wortsman et al. 2022, "Robust fine-tuning of zero-shot models", equation 1. What was learned grows with the
    way from the start and levels off; what is forgotten grows with its square (docs/training.md has numbers). A new
    head stays as it was trained.
    """
    begun = weights.parts(start.tensors(MODEL))
    weights.load(
        {
            name: own if name in start.new else own.lerp(begun[name].to(own), start.share)
            for name, own in weights.snapshot().items()
        }
    )
