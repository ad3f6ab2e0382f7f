"""How good the weights are as they stand, in the middle of training."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from bmtool.train.inference.predict import StoppedHalfwayError, run_goal

if TYPE_CHECKING:
    from bmtool.contracts import Columns, Examples, Goal, Stop
    from bmtool.train.phases import Phase
    from bmtool.train.steps import Stepper


def scores_of(stepper: Stepper, phase: Phase, examples: Examples, stop: Stop) -> dict[str, float | None] | None:
    """The phase's metrics on `examples`, None for one that isn't finite; None for all if `stop` has a reason."""
    weights = stepper.weights
    heard = weights.hears(stop)

    def run(goal: Goal, own: Examples) -> Columns:
        return run_goal(weights.model, goal, own, phase.training.batch_tokens, stop=heard, run=weights.run)

    try:
        scores = phase.measure(examples, run)
    except StoppedHalfwayError:
        return None
    return {name: value if math.isfinite(value) else None for name, value in scores.items()}
