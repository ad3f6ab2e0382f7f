"""Find the text with the most shared rare words (cosines of TF-IDF vectors): what search without a model finds."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from bmtool.contracts import Baseline

if TYPE_CHECKING:
    from bmtool.contracts import Columns, Job, Task


class TfidfRetrieval(Baseline):
    """Words and pairs of words; characters where most letters are of scripts without spaces. Weights are of train."""

    reads: ClassVar = frozenset({"text"})

    def can_do(self, task: Task) -> bool:
        """Whether the task is to find the second text of each pair by the first."""
        return list(task.columns.values()) == ["text", "text"]

    def predict(self, job: Job, task: Task, dataset: Any, split: str, labels: tuple[str, ...]) -> Columns:
        """`ranks` only."""
        from bmtool.data.examples.side_by_side import same_texts
        from bmtool.data.plain_models.tfidf import vectorizer
        from bmtool.data.scoring.retrieval import Candidates

        del labels
        names = task.of_kind("text")
        known = [text for name in names for text in dataset["train"].column(name).to_pylist()]
        words = vectorizer(known).fit(known)
        job.console.say(f"tfidf_retrieval: {len(words.vocabulary_):,} n-grams of the train split")
        columns = [dataset[split].column(name) for name in names]
        candidates = Candidates.of(*(same_texts(column) for column in columns))
        first, second = (words.transform(column.to_pylist()) for column in columns)
        found = second[candidates.rows].T.tocsc()
        return {"ranks": candidates.ranks(lambda start, end: (first[start:end] @ found).toarray())}
