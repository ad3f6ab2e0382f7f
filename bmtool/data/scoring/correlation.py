"""Correlations of two columns of numbers over weighted rows. Shape letters: N rows, B resamples."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bmtool.data.compiled import nb
from bmtool.data.scoring.curves import ordered

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


def pearson(pairs: Floats, weights: Floats) -> Floats:
    """(B,) the linear correlation of the columns of `pairs` (N, 2) by `weights` (B, N); NaN where a column is constant.

    Means go off first (two passes over the rows): sums of squares alone lose all digits where numbers are large beside
    their spread, such as years.
    """
    values: Floats = _pearson(*_columns(pairs), weights)
    return values


def spearman(pairs: Floats, weights: Floats) -> Floats:
    """(B,) the linear correlation of ranks; equal numbers have their mean rank. NaN where a column is constant."""
    x, y = _columns(pairs)
    values: Floats = _spearman(*ordered(x), *ordered(y), weights)
    return values


def _columns(pairs: Floats) -> tuple[Floats, Floats]:
    return np.ascontiguousarray(pairs[:, 0]), np.ascontiguousarray(pairs[:, 1])


@nb.njit(nogil=True, cache=True)
def _correlation(x, y, weights):  # type: ignore[no-untyped-def]
    total = sum_x = sum_y = 0.0
    low_x = low_y = np.inf
    high_x = high_y = -np.inf
    for row in range(len(weights)):
        weight = weights[row]
        if weight > 0:
            total += weight
            sum_x += weight * x[row]
            sum_y += weight * y[row]
            low_x, high_x = min(low_x, x[row]), max(high_x, x[row])
            low_y, high_y = min(low_y, y[row]), max(high_y, y[row])
    if not (high_x > low_x and high_y > low_y):
        return np.nan
    mean_x, mean_y = sum_x / total, sum_y / total
    xx = yy = xy = 0.0
    for row in range(len(weights)):
        off_x, off_y = x[row] - mean_x, y[row] - mean_y
        xx += weights[row] * off_x * off_x
        yy += weights[row] * off_y * off_y
        xy += weights[row] * off_x * off_y
    spread = np.sqrt(xx) * np.sqrt(yy)
    return min(1.0, max(-1.0, xy / spread)) if spread > 0 else np.nan  # tiny numbers may have squares of 0


@nb.njit(nogil=True, cache=True)
def _pearson(x, y, weights):  # type: ignore[no-untyped-def]
    values = np.empty(len(weights))
    for draw in range(len(weights)):
        values[draw] = _correlation(x, y, weights[draw])
    return values


@nb.njit(nogil=True, cache=True)
def _rank(order, ends, weights, ranks):  # type: ignore[no-untyped-def]
    """Fill `ranks` (N,) of rows that are there `weights` times: equal values share the mean of their places."""
    before = here = 0.0
    start = 0
    for place in range(len(order)):
        here += weights[order[place]]
        if ends[place]:
            for other in range(start, place + 1):
                ranks[order[other]] = before + (here + 1) / 2
            before, here, start = before + here, 0.0, place + 1


@nb.njit(nogil=True, cache=True)
def _spearman(order_x, ends_x, order_y, ends_y, weights):  # type: ignore[no-untyped-def]
    values = np.empty(len(weights))
    ranks_x, ranks_y = np.empty(len(order_x)), np.empty(len(order_y))
    for draw in range(len(weights)):
        _rank(order_x, ends_x, weights[draw], ranks_x)
        _rank(order_y, ends_y, weights[draw], ranks_y)
        values[draw] = _correlation(ranks_x, ranks_y, weights[draw])
    return values
