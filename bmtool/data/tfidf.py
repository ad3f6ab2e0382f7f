"""TF-IDF and linear models: the baseline that many fine-tuned models lose to when labels are few.

Shape letters: N rows, C labels.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import hstack
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge

from bmtool.data.labelled import same_answer
from bmtool.data.text.scripts import is_without_spaces

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Answered = tuple[Sequence[Sequence[str]], NDArray[Any]]

_LETTER = re.compile(r"[^\W\d_]")


def vectorizer(texts: Sequence[str]) -> TfidfVectorizer:
    """Words and pairs of words, of any length; 1 to 4 characters for scripts without spaces. Counts are logarithmic."""
    if is_without_spaces(texts):
        return TfidfVectorizer(analyzer="char", ngram_range=(1, 4), sublinear_tf=True, dtype=np.float32)
    pattern = r"\w+"
    return TfidfVectorizer(token_pattern=pattern, ngram_range=(1, 2), sublinear_tf=True, dtype=np.float32)


def choose_and_predict(
    train: Answered, validation: Answered | None, texts: Sequence[Sequence[str]], strengths: Sequence[float]
) -> tuple[NDArray[Any], str]:
    """Predictions for N rows, and how the strength `C` was chosen: on `validation`, if there is one.

    Each part holds its columns of text, and answers: label ids (N,), booleans (N, C), or numbers (N,). What gives
    labels is chosen by accuracy, of equals by likelihood; what gives several a row by likelihood, and what gives
    numbers by squared error. The chosen model learned from `train` alone, as the model beside it.
    """
    train_texts, answers = train
    if len(np.unique(answers, axis=0)) == 1 or not any(text.strip() for column in train_texts for text in column):
        return same_answer(answers, np.empty((len(texts[0]), *answers.shape[1:]), answers.dtype)), (
            "nothing to tell apart in train, so always the same answer"
        )
    columns = [(vectorizer(column), column) for column in train_texts]
    features = hstack([words.fit_transform(column) for words, column in columns]).tocsr()

    def transformed(rows: Sequence[Sequence[str]]) -> Any:
        return hstack([words.transform(row) for (words, _), row in zip(columns, rows, strict=True)]).tocsr()

    first = columns[0][0]
    what = f"{features.shape[1]:,} {'character' if first.analyzer == 'char' else 'word'} n-grams"
    rivals: dict[str, type[_Labels | _Several | _Numbers]] = {"b": _Several, "f": _Numbers}
    rival = rivals.get(answers.dtype.kind, _Labels)
    if validation is None:
        strength = sorted(strengths)[len(strengths) // 2]
        chosen, reason = rival(features, answers, strength), f"C {strength:g}, since there is no validation split"
    else:
        known = transformed(validation[0])
        models = {strength: rival(features, answers, strength) for strength in sorted(strengths)}
        scores = {strength: model.scores(known, validation[1]) for strength, model in models.items()}
        strength = max(scores, key=lambda one: scores[one])
        tried = ", ".join(f"{one:g} {score[0]:.3f}" for one, score in scores.items())
        chosen, reason = models[strength], f"C {strength:g} by validation {rival.measure} ({tried})"
    return chosen.predict(transformed(texts)), f"{what}, {reason}"


class _Labels:
    """A logistic regression over all labels."""

    measure = "accuracy"

    def __init__(self, features: Any, answers: NDArray[np.int64], strength: float) -> None:
        self.model = LogisticRegression(C=strength, max_iter=2000).fit(features, answers)

    def predict(self, features: Any) -> NDArray[np.int64]:
        return np.asarray(self.model.predict(features), np.int64)

    def scores(self, features: Any, answers: NDArray[np.int64]) -> tuple[float, float]:
        """Accuracy, and the log-likelihood of the labels; those that train doesn't have count nothing there."""
        known = np.isin(answers, self.model.classes_)
        places = np.searchsorted(self.model.classes_, answers[known])
        probabilities = self.model.predict_proba(features)[known, places]
        return float((self.predict(features) == answers).mean()), float(np.log(np.maximum(probabilities, 1e-12)).sum())


class _Several:
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
        columns = [
            np.full(features.shape[0], float(constant)) if model is None else model.predict_proba(features)[:, 1]
            for model, constant in zip(self.models, self.constant, strict=True)
        ]
        return np.stack(columns, axis=1)

    def predict(self, features: Any) -> NDArray[np.bool_]:
        return self.probabilities(features) > 0.5

    def scores(self, features: Any, answers: NDArray[np.bool_]) -> tuple[float]:
        """The mean log-likelihood of a label."""
        chances = np.clip(self.probabilities(features), 1e-12, 1 - 1e-12)
        return (float(np.log(np.where(answers, chances, 1 - chances)).mean()),)


class _Numbers:
    """A ridge regression."""

    measure = "squared error, negated"

    def __init__(self, features: Any, answers: NDArray[np.float64], strength: float) -> None:
        self.model = Ridge(alpha=1 / strength, solver="lsqr", tol=1e-6).fit(features, answers)

    def predict(self, features: Any) -> NDArray[np.float64]:
        return np.asarray(self.model.predict(features), np.float64)

    def scores(self, features: Any, answers: NDArray[np.float64]) -> tuple[float]:
        return (-float(((self.predict(features) - answers) ** 2).mean()),)
