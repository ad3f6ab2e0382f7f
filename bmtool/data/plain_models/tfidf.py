"""TF-IDF and a linear model: the baseline that many fine-tuned models lose to when labels are few.

Shape letters: N rows, C labels.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import hstack
from sklearn.feature_extraction.text import TfidfVectorizer

from bmtool.data.examples.labelled import same_answer
from bmtool.data.plain_models.linear import fit, has_one_answer
from bmtool.data.plain_models.merging import merging
from bmtool.data.text.scripts import is_without_spaces

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from bmtool.console import Console

    Answered = tuple[Sequence[Sequence[str]], NDArray[Any]]

#: Of any length; scikit-learn would leave out those of one letter.
_WORD = re.compile(r"\w+")


def vectorizer(texts: Sequence[str]) -> TfidfVectorizer:
    """Words and pairs of words, of any length. Counts are logarithmic.

    1 to 4 characters for scripts without spaces, and where no text has a word: emoji alone say something, too.
    """
    if is_without_spaces(texts) or not any(_WORD.search(text) for text in texts):
        return TfidfVectorizer(analyzer="char", ngram_range=(1, 4), sublinear_tf=True, dtype=np.float32)
    return TfidfVectorizer(token_pattern=_WORD.pattern, ngram_range=(1, 2), sublinear_tf=True, dtype=np.float32)


def choose_and_predict(
    train: Answered,
    validation: Answered | None,
    texts: Sequence[Sequence[str]],
    strengths: Sequence[float],
    console: Console,
) -> tuple[NDArray[Any], str]:
    """Predictions for N rows, and how the strength `C` was chosen: on `validation`, if there is one.

    Each part holds its columns of text, and answers: label ids (N,), booleans (N, C), or numbers (N,).
    """
    train_texts, answers = train
    if has_one_answer(answers) or not any(text.strip() for column in train_texts for text in column):
        return same_answer(answers, np.empty((len(texts[0]), *answers.shape[1:]), answers.dtype)), (
            "nothing to tell apart in train, so always the same answer"
        )
    columns = [(vectorizer(column), column) for column in train_texts]
    features = hstack([words.fit_transform(column) for words, column in columns]).tocsr()
    merge = merging(features)

    def transformed(rows: Sequence[Sequence[str]]) -> Any:
        return hstack([words.transform(row) for (words, _), row in zip(columns, rows, strict=True)]).tocsr() @ merge

    first = columns[0][0]
    what = f"{features.shape[1]:,} {'character' if first.analyzer == 'char' else 'word'} n-grams"
    known = None if validation is None else (transformed(validation[0]), validation[1])
    chosen, reason = fit((features @ merge, answers), known, strengths, console)
    return chosen.predict(transformed(texts)), f"{what}, {reason}"
