"""When to validate, which weights to keep, and when enough is enough."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bmtool.config.shared import Training
    from bmtool.train.states.state import State


@dataclass(frozen=True)
class Selection:
    """Keep the weights with the best validation value of one metric."""

    metric: str
    higher_is_better: bool
    patience: int | None = None
    """Stop after this many validations in a row that aren't better."""
    reason: str = ""
    """Why it is this metric, where the settings name none"""

    @property
    def choices(self) -> dict[str, str]:
        """What was chosen where the settings leave it open, by what it is."""
        return {"best weights": f"by {self.metric} ({self.reason})"} if self.reason else {}

    def judge(self, state: State, metrics: Mapping[str, float | None]) -> bool:
        """Note in `state` what a validation means; True if its weights are the best so far."""
        value = metrics[self.metric]
        if self._is_better(value, None if state.best is None else state.best["value"]):
            state.best = {"step": state.step, "metric": self.metric, "value": value, "metrics": dict(metrics)}
            state.evaluations_since_best = 0
            return True
        state.evaluations_since_best += 1
        state.stopped_early = self.patience is not None and state.evaluations_since_best >= self.patience
        return False

    def _is_better(self, value: float | None, best: float | None) -> bool:
        """An equal or undefined value isn't better."""
        if value is None or not math.isfinite(value):
            return False
        return best is None or (value > best if self.higher_is_better else value < best)


def validation_is_due(state: State, training: Training, num_steps: int) -> bool:
    """Every `eval_every` steps, or without it after each epoch; and at the end of a phase of `num_steps`.

    Once after a step.
    """
    if not state.step or state.evaluated_step == state.step:
        return False
    if state.phase_step >= num_steps:
        return True
    every = training.eval_every
    if every is None or every.steps is None:
        return state.ended_epoch
    return state.step % every.steps == 0
