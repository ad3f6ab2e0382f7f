"""Always give the same answer, that of most train rows: what a model must beat to have learned anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from bmtool.contracts import Baseline

if TYPE_CHECKING:
    from bmtool.contracts import Columns, Job, Task


class Majority(Baseline):
    """The most frequent label for every text, or tag for every word; labels that fit most; the mean of numbers."""

    answers: ClassVar = frozenset({"label", "tags", "labels", "number"})

    def predict(self, job: Job, task: Task, dataset: Any, split: str, labels: tuple[str, ...]) -> Columns:
        """`predictions` only."""
        from bmtool.data.examples.labelled import references_of, same_answer

        del job
        train, wanted = (references_of(dataset[name], task, labels) for name in ("train", split))
        return {"predictions": same_answer(train, wanted)}
