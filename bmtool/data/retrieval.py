"""Scores of rankings, from the ranks of what is relevant to each query."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from bmtool.contracts import Columns


def over_queries(outputs: Columns, score: Callable[[NDArray[np.int64]], float]) -> NDArray[np.float64]:
    """(N, 2): `score` of each query's ranks (from 1, of its relevant items), and 1.

    Both are 0 for a query to which nothing is relevant: it is left out of the mean, as in trec_eval.
    """
    return np.asarray(
        [[score(ranks), 1.0] if len(ranks) else [0.0, 0.0] for ranks in outputs["ranks"]], np.float64
    ).reshape(-1, 2)


def reciprocal_rank(ranks: NDArray[np.int64]) -> float:
    """1 over the rank of the first relevant item."""
    return float(1 / ranks.min())


def discounted_gain(ranks: NDArray[np.int64], k: int) -> float:
    """The sum of 1 / log2(1 + rank) of relevant items among the first k, over what it would be were they ahead of all.

    Järvelin and Kekäläinen 2002 with gains of 0 and 1, discounted as by Burges et al. 2005 and trec_eval.
    """
    ideal = np.arange(1, min(k, len(ranks)) + 1)
    return float((1 / np.log2(1 + ranks[ranks <= k])).sum() / (1 / np.log2(1 + ideal)).sum())


def found_ratio(ranks: NDArray[np.int64], k: int) -> float:
    """The share of the relevant items that are among the first k."""
    return float((ranks <= k).mean())
