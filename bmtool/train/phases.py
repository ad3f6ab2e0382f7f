"""A run is a list of phases: stretches of training that differ in what is learned, from which texts, and how fast."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bmtool.errors import ConfigError
from bmtool.train.course import Course

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import nn

    from bmtool.config.shared import Training
    from bmtool.contracts import Columns, Examples, Goal
    from bmtool.train.order.mixture import Mixing


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
    mixture: Mixing | None = None
    """How much of which corpus an epoch has; None: all of `train`."""
    parts: Mapping[str, Phase] = field(default_factory=dict)
    """Tasks that are learned together, by name: each is measured by itself, and `score` reads the numbers of all."""
    counts: Mapping[str, Any] = field(default_factory=dict)
    """What was counted while it was made, for the summary; plain JSON"""

    def course(self, seed: int, number: int, *, by_length: bool = False) -> Course:
        """Its batches and steps, as phase `number` of a run."""
        return Course(self.train.packed_lengths, self.training, seed, number, self.mixture, by_length)

    def measure(self, examples: Examples, run: Callable[[Goal, Examples], Columns]) -> dict[str, float]:
        """Metric values on `examples`, for which `run` gives a goal's outputs; of several tasks as `TASK.METRIC`."""
        if not self.parts:
            return self.score(run(self.goal, examples))
        numbers = dict[str, float]()
        for name, own in examples.parts.items():
            found = self.parts[name].measure(own, run)
            numbers |= {f"{name}.{metric}": value for metric, value in found.items()}
        return self.score(numbers)

    @property
    def is_measured(self) -> bool:
        """Whether there is something to validate on."""
        return self.validation is not None and len(self.validation) > 0


@dataclass(frozen=True)
class Pass:
    """Examples that go through a model once, forward alone, so that something is kept of each, such as its answer."""

    model: nn.Module
    """It needn't have weights: it is counted, not run"""
    goal: Goal
    examples: Examples
    numbers: int
    """How many are kept of each example, in float32"""


def require_room(stage: str, training: Training, train: Examples) -> None:
    """A batch holds the longest example, which may be longer than a text: a source and its target.

    Raises:
        ConfigError: it doesn't.
    """
    longest = int(train.packed_lengths.max(initial=0))
    if longest > training.room:
        raise ConfigError(
            f"{stage}.per_device_batch_tokens must hold the longest example, of {longest} tokens with all its texts, "
            f"got {training.room}"
        )
