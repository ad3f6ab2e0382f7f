"""Linear models on features of any kind: a logistic regression for labels, a ridge regression for numbers.

Shape letters: N rows, F features, C labels.
"""

from __future__ import annotations

import warnings
from copy import copy
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.linear_model import LogisticRegression, Ridge
from threadpoolctl import threadpool_limits

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from bmtool.console import Console, Progress

    #: Features (N, F), dense or sparse, and answers: label ids (N,), booleans (N, C), or numbers (N,).
    Answered = tuple[Any, NDArray[Any]]


#: Weights of all labels together; the solver holds some 25 such tables of 8 bytes a weight: 1 GB.
MAX_WEIGHTS = 5_000_000


def has_one_answer(answers: NDArray[Any]) -> bool:
    """Whether all rows have the same answer, so that there is nothing to learn."""
    return len(np.unique(answers, axis=0)) == 1


def fit(
    train: Answered, validation: Answered | None, strengths: Sequence[float], console: Console
) -> tuple[Labels | Several | Numbers, str]:
    """A model that learned from `train` alone, and how its strength `C` was chosen: on `validation`, if there is one.

    What gives labels is chosen by accuracy, of equals by likelihood; what gives several a row by likelihood, and what
    gives numbers by squared error. Without validation the strength is the middle one.
    """
    features, answers = train
    rivals: dict[str, type[Labels | Several | Numbers]] = {"b": Several, "f": Numbers}
    rival = rivals.get(answers.dtype.kind, Labels)(features, answers)
    ordered = sorted(strengths) if validation is not None else [sorted(strengths)[len(strengths) // 2]]
    scores: dict[float, tuple[float, ...]] = {}
    chosen = ordered[0]
    best = rival
    # The solvers' vectors are too short for threads, which wait for each other at every sum of a busy machine: one
    # evaluation of 5,000 rows took 59 s of 95 there.
    with threadpool_limits(1, "blas"), console.progress("linear model", len(ordered) * rival.num_parts) as progress:
        for strength in ordered:
            rival.learn(features, answers, strength, progress)
            scores[strength] = rival.scores(*validation) if validation is not None else ()
            if strength == ordered[0] or scores[strength] > scores[chosen]:
                chosen, best = strength, copy(rival)
    left_out = f"; {rival.left_out}" if rival.left_out else ""
    if validation is None:
        return best, f"C {chosen:g}, since there is no validation split{left_out}"
    tried = ", ".join(f"{one:g} {score[0]:.3f}" for one, score in scores.items())
    return best, f"C {chosen:g} by validation {rival.measure} ({tried}){left_out}"


class Labels:
    """A logistic regression over all labels, or those that most rows have."""

    measure = "accuracy"
    num_parts = 1

    def __init__(self, features: Any, answers: NDArray[np.int64]) -> None:
        labels, counts = np.unique(answers, return_counts=True)
        room = max(2, MAX_WEIGHTS // features.shape[1])
        self.known = labels
        self.left_out = ""
        if room < len(labels):
            self.known = np.sort(labels[np.argsort(-counts, kind="stable")[:room]])
            lost = int((~np.isin(answers, self.known)).sum())
            self.left_out = (
                f"the {room:,} most frequent of {len(labels):,} labels, for memory: {lost:,} of {len(answers):,} "
                "train rows were left out, and the other labels are never given"
            )
        self.model: Any = None

    def learn(self, features: Any, answers: NDArray[np.int64], strength: float, progress: Progress) -> None:
        """Take `strength`; the model of another stays as it was."""
        if self.left_out:
            is_known = np.isin(answers, self.known)
            features, answers = features[is_known], answers[is_known]
        self.model = _regression(strength, features, answers)
        progress.advance()

    def predict(self, features: Any) -> NDArray[np.int64]:
        """Label ids, (N,)."""
        return np.asarray(self.model.predict(features), np.int64)

    def scores(self, features: Any, answers: NDArray[np.int64]) -> tuple[float, float]:
        """Accuracy, and the log-likelihood of the labels; those that it doesn't have count nothing there."""
        known = np.isin(answers, self.model.classes_)
        places = np.searchsorted(self.model.classes_, answers[known])
        probabilities = self.model.predict_proba(features)[known, places]
        return float((self.predict(features) == answers).mean()), float(np.log(np.maximum(probabilities, 1e-12)).sum())


def _regression(strength: float, features: Any, answers: NDArray[Any]) -> LogisticRegression:
    with warnings.catch_warnings():
        # Labels of one or two rows each are what they are; `prepare` tells of them.
        warnings.filterwarnings("ignore", "The number of unique classes is greater", UserWarning)
        return LogisticRegression(C=strength, max_iter=2000).fit(features, answers)


class Several:
    """A logistic regression for each label; one that all train rows have, or none, is answered so."""

    measure = "log-likelihood"
    left_out = ""

    def __init__(self, features: Any, answers: NDArray[np.bool_]) -> None:
        del features
        self.constant = answers[0]
        self.num_parts = answers.shape[1]
        self.models: list[Any] = [None] * self.num_parts

    def learn(self, features: Any, answers: NDArray[np.bool_], strength: float, progress: Progress) -> None:
        """Take `strength`; the model of another stays as it was."""
        models = []
        for column in answers.T:
            is_constant = column.all() or not column.any()
            models.append(None if is_constant else _regression(strength, features, column))
            progress.advance()
        self.models = models

    def probabilities(self, features: Any) -> NDArray[np.float64]:
        """Of each label that it fits, (N, C)."""
        columns = [
            np.full(features.shape[0], float(constant)) if model is None else model.predict_proba(features)[:, 1]
            for model, constant in zip(self.models, self.constant, strict=True)
        ]
        return np.stack(columns, axis=1)

    def predict(self, features: Any) -> NDArray[np.bool_]:
        """Labels that are likelier than not, (N, C)."""
        return self.probabilities(features) > 0.5

    def scores(self, features: Any, answers: NDArray[np.bool_]) -> tuple[float]:
        """The mean log-likelihood of a label."""
        chances = np.clip(self.probabilities(features), 1e-12, 1 - 1e-12)
        return (float(np.log(np.where(answers, chances, 1 - chances)).mean()),)


class Numbers:
    """A ridge regression."""

    measure = "squared error, negated"
    num_parts = 1
    left_out = ""

    def __init__(self, features: Any, answers: NDArray[np.float64]) -> None:
        del features, answers
        self.model: Any = None

    def learn(self, features: Any, answers: NDArray[np.float64], strength: float, progress: Progress) -> None:
        """Take `strength`; the model of another stays as it was."""
        self.model = Ridge(alpha=1 / strength, solver="lsqr", tol=1e-6).fit(features, answers)
        progress.advance()

    def predict(self, features: Any) -> NDArray[np.float64]:
        """Numbers, (N,)."""
        return np.asarray(self.model.predict(features), np.float64)

    def scores(self, features: Any, answers: NDArray[np.float64]) -> tuple[float]:
        """The mean squared error, negated: more is better."""
        return (-float(((self.predict(features) - answers) ** 2).mean()),)
