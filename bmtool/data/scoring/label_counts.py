"""Labels counted row by row: how often each is predicted, true and both, and how sure the model was of it.

Shape letters: N rows, C labels, W labels of all rows (one a text, or one a word).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bmtool.data.scoring.scores import answer_kind, ratio
from bmtool.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bmtool.contracts import Columns

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]


def flat_labels(outputs: Columns) -> tuple[Ints, Ints, Ints]:
    """References, predictions and the row of each, (W,): one value a row for texts, one a word for words."""
    references, predictions = outputs["references"], outputs["predictions"]
    if not isinstance(references, list):
        return references, predictions, np.arange(len(references))
    rows = np.repeat(np.arange(len(references)), [len(row) for row in references])
    if not references:
        return rows, rows, rows
    return np.concatenate(references), np.concatenate(predictions), rows


def class_counts(outputs: Columns, num_labels: int) -> Floats:
    """(N, 3C) for each row: right, predicted and true occurrences of each label."""
    if answer_kind(outputs) == "labels":
        references, predictions = outputs["references"], outputs["predictions"]
        return np.concatenate([references & predictions, predictions, references], axis=1).astype(np.float64)
    references, predictions, rows = flat_labels(outputs)
    num_rows = len(outputs["references"])
    right = references == predictions
    cells = [
        (3 * rows[right] + 0) * num_labels + references[right],
        (3 * rows + 1) * num_labels + predictions,
        (3 * rows + 2) * num_labels + references,
    ]
    counts = np.bincount(np.concatenate(cells), minlength=num_rows * 3 * num_labels)
    return counts.reshape(num_rows, 3 * num_labels).astype(np.float64)


def precision_recall_f1(totals: Floats) -> tuple[Floats, Floats, Floats]:
    """From totals (..., 3C) of `class_counts`: precision, recall and F1 of each label, (..., C)."""
    right, predicted, true = np.split(totals, 3, axis=-1)
    return ratio(right, predicted), ratio(right, true), ratio(2 * right, predicted + true)


def mean_over_seen(values: Floats, totals: Floats) -> Floats:
    """The mean of (..., C) over labels that occur in references or predictions, as scikit-learn's macro average.

    So it is for sets of labels, too, where scikit-learn counts a label that occurs nowhere as 0.
    """
    _, predicted, true = np.split(totals, 3, axis=-1)
    seen = (predicted + true) > 0
    return ratio((values * seen).sum(axis=-1), seen.sum(axis=-1))


def confusion(outputs: Columns, num_labels: int) -> Ints:
    """(C, C): how often each true label (row) was predicted as each label (column)."""
    references, predictions, _ = flat_labels(outputs)
    flat = np.bincount(references * num_labels + predictions, minlength=num_labels * num_labels)
    return flat.reshape(num_labels, num_labels)


def one_against_rest(outputs: Columns) -> tuple[NDArray[np.bool_], Floats]:
    """(N, M) each: whether a label is true of a row, and its probability. Of two label ids the second alone is taken.

    M is C, or 1 of two label ids.
    """
    references, probabilities = outputs["references"], outputs["probabilities"].astype(np.float64)
    if answer_kind(outputs) == "labels":
        return references, probabilities
    num_labels = probabilities.shape[1]
    first = 1 if num_labels == 2 else 0
    return references[:, None] == np.arange(first, num_labels), probabilities[:, first:]


def confidences(outputs: Columns) -> tuple[Floats, NDArray[np.bool_]]:
    """The probability that the model gives to each of its decisions, and whether it is right; both (N, M).

    M is 1 for label ids (the predicted label), and C for sets of labels (yes or no to each).
    """
    probabilities, predictions = outputs["probabilities"].astype(np.float64), outputs["predictions"]
    if answer_kind(outputs) == "labels":
        return np.where(predictions, probabilities, 1 - probabilities), predictions == outputs["references"]
    chosen = np.take_along_axis(probabilities, predictions[:, None], axis=1)
    return chosen, (predictions == outputs["references"])[:, None]


def grades(outputs: Columns, labels: tuple[str, ...]) -> Floats:
    """(N, 2): reference and prediction of each row as whole numbers on an ordered scale.

    Predicted numbers are rounded to the nearest whole one (halves to the even one, as `numpy.rint`). Labels that are
    all written as whole numbers stand for these; of other labels the ids count: the order in which the task lists them.

    Raises:
        DataError: a reference is a number, and no whole one.
    """
    pairs: NDArray[Any] = np.stack([outputs["references"], outputs["predictions"]], axis=1)
    if answer_kind(outputs) == "number":
        broken = np.flatnonzero(pairs[:, 0] != np.rint(pairs[:, 0]))
        if len(broken):
            raise DataError(
                f"kappa_quadratic compares grades, which are whole numbers; row {broken[0]} has "
                f"{pairs[broken[0], 0]:g}. Choose pearson or spearman, or scale the grades to whole numbers"
            )
        return np.asarray(np.rint(pairs))
    scale = [int(label) for label in labels] if all(map(_is_whole, labels)) else range(len(labels))
    return np.asarray(np.asarray(scale, np.float64)[pairs])


def _is_whole(label: str) -> bool:
    return label.removeprefix("-").isdecimal()
