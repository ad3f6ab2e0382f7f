"""How the learning rate goes over a run, as a factor of its highest value."""

from __future__ import annotations

import math


def factor(kind: str, step: int, num_steps: int, *, warmup_ratio: float, decay_ratio: float) -> float:
    """The factor in (0, 1] at `step`, counted from 0, of `num_steps`.

    All kinds rise linearly over the first `warmup_ratio` of the steps. Then `constant` stays; `linear` and `cosine`
    fall to zero behind the last step; `wsd` (warm-up, stable, decay: Hu et al. 2024, MiniCPM, section 4) stays, and
    falls linearly over the last `decay_ratio`, so that any checkpoint of the stable part can go on.

    Raises:
        ValueError: an unknown kind.
    """
    warmup_steps = round(warmup_ratio * num_steps)
    rise = min(1.0, (step + 1) / warmup_steps) if warmup_steps else 1.0
    left = num_steps - step
    if kind == "constant":
        fall = 1.0
    elif kind == "linear":
        fall = left / max(1, num_steps - warmup_steps)
    elif kind == "cosine":
        progress = 1 - left / max(1, num_steps - warmup_steps)
        fall = 0.5 * (1 + math.cos(math.pi * max(0.0, progress)))
    elif kind == "wsd":
        fall = left / max(1, round(decay_ratio * num_steps))
    else:
        raise ValueError(f"unknown schedule '{kind}'")
    return max(0.0, min(rise, fall, 1.0))
