"""Areas under curves: how well scores put what is true before what isn't, at every threshold at once.

They are no functions of a sum over rows, so each resample is gone over once, along the rows in the order of scores.
Shape letters: N rows, B resamples, C labels, M labels that are looked at (1 of two; all of more).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bmtool.data.compiled import nb
from bmtool.data.scoring.scores import quotient

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


def macro(area: Callable[..., Floats], statistics: Floats, weights: Floats) -> Floats:
    """(B,): the mean of `area` (`roc_areas`, `precision_areas`) over the labels for which it is defined; NaN: for none.

    Args:
        area: from truth in the order of scores, ends of runs of equal scores, order and weights to (B,).
        statistics: (N, 2M) whether each label is true of a row, and its probability.
        weights: (B, N) how often each row counts.
    """
    num_labels = statistics.shape[1] // 2
    total = np.zeros((len(weights), 2))
    for true, scores in zip(statistics[:, :num_labels].T, statistics[:, num_labels:].T, strict=True):
        order, ends = ordered(scores)
        areas = area(true[order] > 0, ends, order, weights)
        total += np.stack([np.nan_to_num(areas), ~np.isnan(areas)], axis=1)
    return quotient(total)


def ordered(values: Floats) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Rows (N,) by ascending value, and for each place whether the next one holds another value."""
    order = np.argsort(values, kind="stable")
    return order, np.append(values[order][1:] != values[order][:-1], [True] * (len(values) > 0))


@nb.njit(nogil=True, cache=True)
def roc_areas(true, ends, order, weights):  # type: ignore[no-untyped-def]
    """(B,): the share of pairs (true, not true) in which the true one has the higher score; half of a tie counts.

    That is the area under the ROC curve (Hanley and McNeil 1982). NaN without a pair.
    """
    areas = np.full(len(weights), np.nan)
    for draw in range(len(weights)):
        won = positives = negatives = new_positives = new_negatives = 0.0
        for place in range(len(order)):
            weight = weights[draw, order[place]]
            if true[place]:
                new_positives += weight
            else:
                new_negatives += weight
            if ends[place]:
                won += new_positives * (negatives + new_negatives / 2)
                positives += new_positives
                negatives += new_negatives
                new_positives = new_negatives = 0.0
        if positives > 0 and negatives > 0:
            areas[draw] = won / (positives * negatives)
    return areas


@nb.njit(nogil=True, cache=True)
def precision_areas(true, ends, order, weights):  # type: ignore[no-untyped-def]
    """(B,): average precision, the precision at each threshold weighted by the recall that it adds.

    No line is drawn between thresholds, as in scikit-learn: that would promise too much (Davis and Goadrich 2006).
    NaN where nothing is true.
    """
    areas = np.full(len(weights), np.nan)
    for draw in range(len(weights)):
        area = positives = found = new_positives = 0.0
        for back in range(len(order)):
            place = len(order) - 1 - back
            weight = weights[draw, order[place]]
            found += weight
            if true[place]:
                new_positives += weight
            if new_positives > 0 and (place == 0 or ends[place - 1]):
                positives += new_positives
                area += new_positives * positives / found
                new_positives = 0.0
        if positives > 0:
            areas[draw] = area / positives
    return areas
