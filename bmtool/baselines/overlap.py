"""Answer a question with the sentence that has most of its words: what can be had without understanding any."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from bmtool.contracts import Baseline

if TYPE_CHECKING:
    from bmtool.contracts import Columns, Job, Task


class Overlap(Baseline):
    """Rare words count more; below a share of the question, learned from train rows, there is no answer.

    It is judged by F1 in the first place: a whole sentence is rarely the exact answer.
    """

    answers: ClassVar = frozenset({"answers"})

    def predict(self, job: Job, task: Task, dataset: Any, split: str, labels: tuple[str, ...]) -> Columns:
        """`predictions` only."""
        from bmtool.data.examples.right_answers import right_texts
        from bmtool.data.plain_models.sentence_overlap import SentenceOverlap

        del task, labels
        questions, contexts = (dataset["train"].column(name).to_pylist() for name in ("question", "context"))
        model = SentenceOverlap.learned(questions, contexts, right_texts(dataset["train"].column("answers")))
        job.console.say(f"overlap: a sentence with {model.threshold:.2f} of a question's weight answers it")
        columns = (dataset[split].column(name).to_pylist() for name in ("question", "context"))
        asked = list(zip(*columns, strict=True))
        return {"predictions": [model.answer(*one) for one in asked]}
