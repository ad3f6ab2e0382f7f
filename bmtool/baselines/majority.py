"""Always give the most frequent label of the train split: what a model must beat to have learned anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bmtool.contracts import Baseline

if TYPE_CHECKING:
    from bmtool.contracts import Columns, Job, Task


class Majority(Baseline):
    """The most frequent label for every text, or the most frequent tag for every word; the first of equals."""

    def predict(self, job: Job, task: Task, dataset: Any, split: str, labels: tuple[str, ...]) -> Columns:
        """`predictions` only."""
        from bmtool.data.labelled import most_frequent, references_of, repeated

        del job
        best = most_frequent(references_of(dataset["train"], task, labels), len(labels))
        return {"predictions": repeated(best, references_of(dataset[split], task, labels))}
