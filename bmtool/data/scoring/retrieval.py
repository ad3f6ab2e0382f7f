"""Rankings, and scores of them from the ranks of what is relevant to each query.

Shape letters: N queries, M candidates.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from bmtool.contracts import Columns

#: Numbers of a matrix of similarities that are there at once: 16 MiB of float32.
SIMILARITIES_AT_ONCE = 1 << 22


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


@dataclass(frozen=True)
class Candidates:
    """The M distinct texts that are searched, and which of them are right for each of N queries."""

    rows: NDArray[np.int64]
    """(M,) a row that has the text"""
    relevant: list[NDArray[np.int64]]
    """N arrays of places among the candidates"""

    @classmethod
    def of(cls, first_ids: NDArray[np.int64], second_ids: NDArray[np.int64]) -> Candidates:
        """Of N pairs by numbers of their texts: for a first text all second texts are right that it stands with."""
        _, rows, places = np.unique(second_ids, return_index=True, return_inverse=True)
        pairs = np.unique(np.stack([first_ids, places], axis=1), axis=0)
        starts = np.searchsorted(pairs[:, 0], first_ids, side="left")
        ends = np.searchsorted(pairs[:, 0], first_ids, side="right")
        return cls(rows, [pairs[start:end, 1] for start, end in zip(starts, ends, strict=True)])

    def ranks(self, similarities: Callable[[int, int], NDArray[Any]]) -> list[NDArray[np.int64]]:
        """From 1, ascending, where each query's relevant candidates are; of equals what is wrong comes first.

        `similarities(start, end)` gives those of some queries with all candidates, (end - start, M); so many at once
        that they are `SIMILARITIES_AT_ONCE`.
        """
        step = max(1, SIMILARITIES_AT_ONCE // max(1, len(self.rows)))
        ranks = []
        for start in range(0, len(self.relevant), step):
            end = min(start + step, len(self.relevant))
            for row, right in zip(similarities(start, end), self.relevant[start:end], strict=True):
                values = np.sort(row[right])[::-1]
                ahead = np.array([np.count_nonzero(row >= value) for value in values], dtype=np.int64)
                right_ahead = len(values) - np.searchsorted(values[::-1], values, side="left")
                ranks.append(ahead - right_ahead + np.arange(1, len(values) + 1))
        return ranks


def ranked_pairs(outputs: Columns) -> Columns:
    """`ranks` of N pairs from the vectors `first` and `second` (N, D) and `first_ids` and `second_ids` (N,)."""
    candidates = Candidates.of(outputs["first_ids"], outputs["second_ids"])
    first, second = outputs["first"], outputs["second"][candidates.rows]
    return {"ranks": candidates.ranks(lambda start, end: first[start:end] @ second.T)}
