"""Linear models on features of any kind: a logistic regression for labels, a ridge regression for numbers.

Shape letters: N rows, F features, C labels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.linear_model import LogisticRegression, Ridge

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    #: Features (N, F), dense or sparse, and answers: label ids (N,), booleans (N, C), or numbers (N,).
    Answered = tuple[Any, NDArray[Any]]


def has_one_answer(answers: NDArray[Any]) -> bool:
    """Whether all rows have the same answer, so that there is nothing to learn."""
    return len(np.unique(answers, axis=0)) == 1


def fit(
    train: Answered, validation: Answered | None, strengths: Sequence[float]
) -> tuple[Labels | Several | Numbers, str]:
    """A model that learned from `train` alone, and how its strength `C` was chosen: on `validation`, if there is one.

    What gives labels is chosen by accuracy, of equals by likelihood; what gives several a row by likelihood, and what
    gives numbers by squared error. Without validation the strength is the middle one.
    """
    features, answers = train
    rivals: dict[str, type[Labels | Several | Numbers]] = {"b": Several, "f": Numbers}
    rival = rivals.get(answers.dtype.kind, Labels)
    if validation is None:
        strength = sorted(strengths)[len(strengths) // 2]
        return rival(features, answers, strength), f"C {strength:g}, since there is no validation split"
    models = {strength: rival(features, answers, strength) for strength in sorted(strengths)}
    scores = {strength: model.scores(*validation) for strength, model in models.items()}
    strength = max(scores, key=lambda one: scores[one])
    tried = ", ".join(f"{one:g} {score[0]:.3f}" for one, score in scores.items())
    return models[strength], f"C {strength:g} by validation {rival.measure} ({tried})"


class Labels:
    """A logistic regression over all labels."""

    measure = "accuracy"

    def __init__(self, features: Any, answers: NDArray[np.int64], strength: float) -> None:
        self.model = LogisticRegression(C=strength, max_iter=2000).fit(features, answers)

    def predict(self, features: Any) -> NDArray[np.int64]:
        """Label ids, (N,)."""
        return np.asarray(self.model.predict(features), np.int64)

    def scores(self, features: Any, answers: NDArray[np.int64]) -> tuple[float, float]:
        """Accuracy, and the log-likelihood of the labels; those that train doesn't have count nothing there."""
        known = np.isin(answers, self.model.classes_)
        places = np.searchsorted(self.model.classes_, answers[known])
        probabilities = self.model.predict_proba(features)[known, places]
        return float((self.predict(features) == answers).mean()), float(np.log(np.maximum(probabilities, 1e-12)).sum())


class Several:
    """A logistic regression for each label; one that all train rows have, or none, is answered so."""

    measure = "log-likelihood"

    def __init__(self, features: Any, answers: NDArray[np.bool_], strength: float) -> None:
        self.constant = answers[0]
        self.models = [
            None
            if column.all() or not column.any()
            else LogisticRegression(C=strength, max_iter=2000).fit(features, column)
            for column in answers.T
        ]

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

    def __init__(self, features: Any, answers: NDArray[np.float64], strength: float) -> None:
        self.model = Ridge(alpha=1 / strength, solver="lsqr", tol=1e-6).fit(features, answers)

    def predict(self, features: Any) -> NDArray[np.float64]:
        """Numbers, (N,)."""
        return np.asarray(self.model.predict(features), np.float64)

    def scores(self, features: Any, answers: NDArray[np.float64]) -> tuple[float]:
        """The mean squared error, negated: more is better."""
        return (-float(((self.predict(features) - answers) ** 2).mean()),)
