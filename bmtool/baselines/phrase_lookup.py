"""Give what is right for the most similar training text: what can be had without writing anything new."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from bmtool.contracts import Baseline

if TYPE_CHECKING:
    from bmtool.contracts import Columns, Job, Task


class PhraseLookup(Baseline):
    """The target of the same source in the train split, else of the one with the nearest TF-IDF vector.

    Of conversations what was said before the last answer, and that answer.
    """

    answers: ClassVar = frozenset({"target", "messages"})

    def predict(self, job: Job, task: Task, dataset: Any, split: str, labels: tuple[str, ...]) -> Columns:
        """`predictions` only."""
        from bmtool.data.plain_models.lookup import most_alike, sources_and_targets

        del labels
        known, answers = sources_and_targets(dataset["train"], task)
        texts, _ = sources_and_targets(dataset[split], task)
        places = most_alike(known, texts)
        job.console.say(f"phrase_lookup: {len(set(known) & set(texts)):,} sources are in the train split as they are")
        return {"predictions": [answers[place] for place in places]}
