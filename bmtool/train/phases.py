"""A run is a list of phases: stretches of training that differ in what is learned, from which texts, and how fast."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bmtool.train.course import Course

if TYPE_CHECKING:
    from collections.abc import Callable

    from bmtool.config.shared import Training
    from bmtool.contracts import Columns, Examples, Goal
    from bmtool.train.mixture import Mixture


@dataclass(frozen=True)
class Phase:
    """What is learned for a while."""

    goal: Goal
    train: Examples
    validation: Examples | None
    """What is measured on; None: never."""
    training: Training
    """Budget, schedule, batches; the optimizer and what is saved when are those of the first phase."""
    score: Callable[[Columns], dict[str, float]]
    """Turns the goal's outputs on `validation` into metric values; NaN where undefined."""
    mixture: Mixture | None = None
    """How much of which corpus an epoch has; None: all of `train`."""

    def course(self, seed: int, number: int, *, by_length: bool = False) -> Course:
        """Its batches and steps, as phase `number` of a run."""
        return Course(self.train.packed_lengths, self.training, seed, number, self.mixture, by_length)

    @property
    def is_measured(self) -> bool:
        """Whether there is something to validate on."""
        return self.validation is not None and len(self.validation) > 0
