"""TF-IDF and logistic regression: the baseline that many fine-tuned models lose to when labels are few."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression

from bmtool.data.text.scripts import is_without_spaces

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    Labelled = tuple[Sequence[str], NDArray[np.int64]]

_LETTER = re.compile(r"[^\W\d_]")


def vectorizer(texts: Sequence[str]) -> TfidfVectorizer:
    """Words and pairs of words, of any length; 1 to 4 characters for scripts without spaces. Counts are logarithmic."""
    if is_without_spaces(texts):
        return TfidfVectorizer(analyzer="char", ngram_range=(1, 4), sublinear_tf=True, dtype=np.float32)
    pattern = r"\w+"
    return TfidfVectorizer(token_pattern=pattern, ngram_range=(1, 2), sublinear_tf=True, dtype=np.float32)


def choose_and_predict(
    train: Labelled, validation: Labelled | None, texts: Sequence[str], strengths: Sequence[float]
) -> tuple[NDArray[np.int64], str]:
    """Predictions for `texts` (N,), and how the strength `C` was chosen: by accuracy on `validation`, if there is one.

    Of equal accuracies the likelier one is taken. The chosen model learned from `train` alone, as the model beside it.
    """
    train_texts, train_labels = train
    seen = np.unique(train_labels)
    if len(seen) == 1 or not any(_LETTER.search(text) or text.strip() for text in train_texts):
        value = int(np.bincount(train_labels).argmax())
        return np.full(len(texts), value, dtype=np.int64), "nothing to tell apart in train, so always the same label"
    words = vectorizer(train_texts)
    features = words.fit_transform(train_texts)
    what = f"{len(words.vocabulary_):,} {'character' if words.analyzer == 'char' else 'word'} n-grams"
    if validation is None:
        strength = sorted(strengths)[len(strengths) // 2]
        chosen, reason = _fit(features, train_labels, strength), f"C {strength:g}, since there is no validation split"
    else:
        known = words.transform(validation[0])
        models = {strength: _fit(features, train_labels, strength) for strength in sorted(strengths)}
        accuracies = {s: float((model.predict(known) == validation[1]).mean()) for s, model in models.items()}
        strength = max(accuracies, key=lambda s: (accuracies[s], _likelihood(models[s], known, validation[1])))
        tried = ", ".join(f"{s:g} {accuracy:.3f}" for s, accuracy in accuracies.items())
        chosen, reason = models[strength], f"C {strength:g} by validation accuracy ({tried})"
    return chosen.predict(words.transform(texts)).astype(np.int64), f"{what}, {reason}"


def _fit(features: object, labels: NDArray[np.int64], strength: float) -> LogisticRegression:
    return LogisticRegression(C=strength, max_iter=2000).fit(features, labels)


def _likelihood(model: LogisticRegression, features: object, labels: NDArray[np.int64]) -> float:
    """The log-likelihood of the labels; those that train doesn't have count nothing, whatever C is."""
    known = np.isin(labels, model.classes_)
    probabilities = model.predict_proba(features)[known, np.searchsorted(model.classes_, labels[known])]
    return float(np.log(np.maximum(probabilities, 1e-12)).sum())
