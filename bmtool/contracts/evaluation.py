"""What stands behind a number: metrics, their intervals, baselines; and what is exported.

Shape letters: N rows, C classes, K statistics of a row, B draws of all rows.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from bmtool.config.model import Component

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from bmtool.artifacts.manifest import Artifact
    from bmtool.contracts.batches import Columns
    from bmtool.contracts.goals import Goal
    from bmtool.contracts.stages import Job, Need
    from bmtool.contracts.tasks import Task
    from bmtool.runner.pipeline import Pipeline


#: What answers are, by the kind of column that holds the right ones, as `references` and `predictions` of N rows and C
#: labels: `label` ids (N,); `tags` N arrays of ids, one a word; `labels` bool (N, C); `number` float64 (N,); `target`
#: predictions of N strings, references of N lists of right ones; `answers` are alike, and without a right one there
#: is none to be found.
AnswerKind = Literal["label", "tags", "labels", "number", "target"]


class Metric(Component):
    """A number over rows, also over rows drawn anew, so that it has an interval.

    Most are a function of a sum over rows and give `value`; a bootstrap of them is one matrix product. What is no such
    function, as a correlation of ranks, gives `values` instead.
    """

    higher_is_better: ClassVar[bool] = True
    perfect: ClassVar[float] = 1.0
    """Where more is better, the value of answers that are all right: numbers of several metrics are compared as shares
    of it."""
    reads: ClassVar[tuple[str, ...]] = ("references", "predictions")
    """The columns of outputs that it needs; a baseline that doesn't give them isn't judged by it."""
    judges: ClassVar[tuple[AnswerKind, ...]] = ("label", "tags", "labels")
    """The answers that it understands, where it reads references."""

    def unfit(self, goal: Goal) -> str:
        """Why what is learned can't be measured by it, as the end of a sentence that begins with its name; or nothing.

        Known from settings alone, before anything is made.
        """
        lacking = [column for column in self.reads if column not in goal.gives]
        if "references" in self.reads and goal.answers not in self.judges:
            return f"judges {' or '.join(self.judges)}, and {goal.name()} answers with {goal.answers or 'none of them'}"
        return f"reads {' and '.join(lacking)}, which {goal.name()} doesn't give" if lacking else ""

    @abstractmethod
    def statistics(self, outputs: Columns, labels: tuple[str, ...]) -> NDArray[np.float64]:
        """(N, K) all that it needs to know of each row, such as [correct, 1]."""

    def values(self, statistics: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """(B,) its value where row n of the statistics (N, K) is there `weights[b, n]` times; weights are (B, N)."""
        return self.value(weights @ statistics)

    def value(self, totals: NDArray[np.float64]) -> NDArray[np.float64]:
        """The metric from summed statistics: (..., K) to (...)."""
        raise NotImplementedError(f"{self.name()} is no function of a sum over rows, and gives `values`")

    def details(self, outputs: Columns) -> dict[str, str]:
        """What has to be said beside the number so that it can be had again, such as how texts were cut into words."""
        del outputs
        return {}


@dataclass(frozen=True)
class Score:
    """A metric with its 95 % interval and the number of rows behind it."""

    value: float
    low: float
    high: float
    n: int


class Baseline(Component):
    """Something simpler to stand beside the model, on the same rows."""

    reads: ClassVar[frozenset[str]] = frozenset()
    """The kinds of columns that a task must have for it, such as `text`."""
    answers: ClassVar[frozenset[str]] = frozenset()
    """The kinds of answers that it can give, such as `label` and `number`; empty: it can do every task."""

    def can_do(self, task: Task) -> bool:
        """Whether the task has what it reads, and is answered as it answers."""
        kinds = set(task.columns.values())
        return self.reads <= kinds and (not self.answers or bool(self.answers & kinds))

    def unfit(self, tasks: Sequence[Task]) -> str:
        """Why it can do none of the tasks; empty if it can do one."""
        if any(self.can_do(task) for task in tasks):
            return ""
        answers = f" and gives {' or '.join(sorted(self.answers))}" if self.answers else ""
        needed = " and ".join(sorted(self.reads)) or "anything"
        there = ", ".join(f"{task.name()} has {' and '.join(sorted(set(task.columns.values())))}" for task in tasks)
        return f"{self.name()} reads {needed}{answers}, and {there}. Leave it out"

    def needs(self, pipeline: Pipeline) -> dict[str, Need]:
        """Artifacts by name that must be there first, found by a reference or made for it; most need none.

        Raises:
            ConfigError: the file doesn't say what they need.
        """
        del pipeline
        return {}

    @abstractmethod
    def predict(self, job: Job, task: Task, dataset: Any, split: str, labels: tuple[str, ...]) -> Columns:
        """Results for each row of the split called `split`, as `Task.outputs` gives them, with ids of `labels`.

        Only the dataset's train and validation splits may be learned from. What `needs` asked for is in `job.inputs`
        as `<name of the baseline>:<name it gave>`.
        """


class Exporter(Component):
    """Writes a checkpoint in another format and proves it equal."""

    @abstractmethod
    def export(self, checkpoint: Artifact, data: Any, folder: Path, job: Job) -> dict[str, Any]:
        """Write into `folder`, reload in a fresh process, compare on the rows of the split `data`; return the numbers.

        Raises:
            GateError: the exported model's answers differ by more than the settings allow.
        """
