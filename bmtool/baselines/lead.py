"""Give the first sentences of each source: the summary that many models lose to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import PositiveInt

from bmtool.contracts import Baseline

if TYPE_CHECKING:
    from bmtool.contracts import Columns, Job, Task


class Lead(Baseline):
    """So many sentences as are, on the training rows, most nearly as long as the right texts, unless it is said."""

    reads: ClassVar = frozenset({"text"})
    answers: ClassVar = frozenset({"target"})

    num_sentences: PositiveInt | None = None

    def predict(self, job: Job, task: Task, dataset: Any, split: str, labels: tuple[str, ...]) -> Columns:
        """`predictions` only."""
        from bmtool.data.plain_models.lookup import best_count, lead

        del labels
        source, target = task.of_kind("text")[0], task.of_kind("target")[0]
        count = self.num_sentences
        if count is None:
            train = dataset["train"]
            count = best_count(train.column(source).to_pylist(), train.column(target).to_pylist())
            job.console.say(f"lead: {count} sentences, by the length of the train split's targets")
        return {"predictions": [lead(text, count) for text in dataset[split].column(source).to_pylist()]}
