"""Count words weighted by how rare they are (TF-IDF), then a linear model: strong where words tell the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import Field, PositiveFloat

from bmtool.contracts import Baseline

if TYPE_CHECKING:
    from bmtool.contracts import Columns, Job, Task


class Tfidf(Baseline):
    """Words and pairs of words; characters where most letters are of scripts without spaces, such as Chinese.

    A logistic regression gives labels, one for each label where several may fit, and a ridge regression numbers. Two
    texts count apart. The strength `C` of the regression (of a ridge the inverse of its penalty) is chosen on the
    validation split. Without one it is the middle of `strengths`.
    """

    reads: ClassVar = frozenset({"text"})
    answers: ClassVar = frozenset({"label", "labels", "number"})

    strengths: tuple[PositiveFloat, ...] = Field(default=(1.0, 10.0, 100.0), min_length=1)

    def predict(self, job: Job, task: Task, dataset: Any, split: str, labels: tuple[str, ...]) -> Columns:
        """`predictions` only."""
        from bmtool.data.examples.labelled import references_of
        from bmtool.data.plain_models.tfidf import choose_and_predict

        def texts(name: str) -> list[list[str]]:
            return [dataset[name].column(column).to_pylist() for column in task.of_kind("text")]

        parts = {
            name: (texts(name), references_of(dataset[name], task, labels))
            for name in ("train", "validation")
            if name in dataset.splits and dataset[name].num_rows
        }
        known, asked = parts.get("validation"), texts(split)
        predictions, reason = choose_and_predict(parts["train"], known, asked, self.strengths, job.console)
        job.console.say(f"tfidf: {reason}")
        return {"predictions": predictions}
