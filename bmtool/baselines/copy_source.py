"""Give each source back as it is: how far names and numbers get a translation that translates nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from bmtool.contracts import Baseline

if TYPE_CHECKING:
    from bmtool.contracts import Columns, Job, Task


class CopySource(Baseline):
    """The source itself for every row."""

    reads: ClassVar = frozenset({"text"})
    answers: ClassVar = frozenset({"target"})

    def predict(self, job: Job, task: Task, dataset: Any, split: str, labels: tuple[str, ...]) -> Columns:
        """`predictions` only."""
        del job, labels
        return {"predictions": dataset[split].column(task.of_kind("text")[0]).to_pylist()}
