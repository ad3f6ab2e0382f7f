"""How many held-out rows have a similar row in train: measured on what was split, whatever was done before."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bmtool.data.compiled import nb
from bmtool.data.similarity.bands import BANDS, Sketches, band_keys, equal_values
from bmtool.data.similarity.fingerprints import VALUES
from bmtool.data.similarity.lookup import find, lookup
from bmtool.data.similarity.shingle_sets import exact_similarity
from bmtool.data.similarity.similar import matches_in_doubt

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    from bmtool.data.similarity.bands import Unit

#: Held-out rows looked for at a time: their sketches take 7 MB, their keys 40 MB. More take another round over train.
_ROWS_HELD = 1 << 15

#: How many rows of train with a common band a held-out row is compared with.
_MOST_COMPARED = 4096

#: How many of them are measured on the texts, if none is clearly similar.
_MOST_IN_DOUBT = 8


@dataclass(frozen=True)
class Overlap:
    """The M held-out rows that have a similar row in train, ascending."""

    row: NDArray[np.int64]
    """(M,)"""
    twin: NDArray[np.int64]
    """(M,) the first row of train that is clearly similar, or else the most similar one that was measured."""
    similarity: NDArray[np.float32]
    """(M,) at least the threshold."""
    is_exact: NDArray[np.bool_]
    """(M,) whether it was measured on the texts; else it is the estimate."""

    def __len__(self) -> int:
        return len(self.row)


@nb.njit(nogil=True, cache=True)
def _search(sketches, first_row, is_train, keys, queries, table, holders, starts, state):  # type: ignore[no-untyped-def]
    """Compare each row of train in a unit with the queries that share a band with it.

    `state` holds, for each query: the first clearly similar row and its equal values; how many rows were compared,
    and which last; and the rows in doubt (Q, _MOST_IN_DOUBT), with how many there are.
    """
    twin, equal, num_compared, last, doubtful, num_doubtful, least, clear = state
    for i in range(len(sketches)):
        if not is_train[i]:
            continue
        for band in range(len(keys)):
            place = find(table, keys[band, i]) if keys[band, i] != 0 else -1
            if place < 0:
                continue
            for query in holders[starts[place] : starts[place + 1]]:
                row = first_row + i
                if twin[query] >= 0 or last[query] == row or num_compared[query] == _MOST_COMPARED:
                    continue
                last[query] = row
                num_compared[query] += 1
                matches = equal_values(sketches[i], queries[query])
                if matches >= clear:
                    twin[query], equal[query] = row, matches
                elif matches >= least and num_doubtful[query] < _MOST_IN_DOUBT:
                    doubtful[query, num_doubtful[query]] = row
                    num_doubtful[query] += 1


def _similar_in_train(
    sketches: Sketches,
    rows: NDArray[np.int64],
    is_train: NDArray[np.bool_],
    texts: Callable[[NDArray[np.int64]], pa.Array],
    threshold: float,
) -> Overlap:
    """Those of the held-out `rows` that have a similar row in train."""
    least, clear = matches_in_doubt(threshold)
    queries = sketches.rows(rows)
    keys = np.empty((len(BANDS), len(rows)), np.uint64)
    band_keys(queries, BANDS, keys)
    order = np.argsort(keys, axis=None, kind="stable")
    distinct, starts = np.unique(keys.ravel()[order], return_index=True)
    holders, starts = (order % len(rows)).astype(np.int32), np.append(starts, keys.size)
    table = lookup(distinct)
    twin, last = np.full(len(rows), -1, np.int64), np.full(len(rows), -1, np.int64)
    equal, num_compared, num_doubtful = (np.zeros(len(rows), np.int32) for _ in range(3))
    doubtful = np.empty((len(rows), _MOST_IN_DOUBT), np.int64)
    state = (twin, equal, num_compared, last, doubtful, num_doubtful, least, clear)
    for start, unit in sketches.parts():
        unit_keys = np.empty((len(BANDS), len(unit)), np.uint64)
        band_keys(unit, BANDS, unit_keys)
        in_train = is_train[start : start + len(unit)]
        _search(unit, start, in_train, unit_keys, queries, table, holders, starts, state)
    similarity = np.where(twin >= 0, equal / VALUES, 0).astype(np.float32)
    open_ = np.flatnonzero((twin < 0) & (num_doubtful > 0))
    which, nth = np.nonzero(np.arange(_MOST_IN_DOUBT) < num_doubtful[open_, None])
    query = open_[which]
    measured = exact_similarity(doubtful[query, nth], rows[query], texts, threshold=threshold)
    for i in np.flatnonzero(measured >= np.float32(threshold)).tolist():
        if measured[i] > similarity[query[i]]:
            twin[query[i]], similarity[query[i]] = doubtful[query[i], nth[i]], measured[i]
    found = twin >= 0
    return Overlap(rows[found], twin[found], similarity[found], np.isin(np.flatnonzero(found), open_))


def overlap(
    units: Sequence[Unit],
    is_train: NDArray[np.bool_],
    held_out: NDArray[np.int64],
    texts: Callable[[NDArray[np.int64]], pa.Array],
    *,
    threshold: float = 0.7,
) -> Overlap:
    """The held-out rows that have a row in train whose similarity is at least the threshold.

    One such row is looked for, not all. The result doesn't depend on how rows are cut into units. Memory: 60 MB.

    Args:
        units: The sketches of all rows, in reading order.
        is_train: (N,) which rows train holds.
        held_out: Ascending rows of validation and test.
        texts: Gives the texts (string) of at most 512 ascending rows, in their order.
        threshold: Above 0 and at most 1.
    """
    sketches = Sketches(units)
    row, twin = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    similarity, is_exact = [np.zeros(0, np.float32)], [np.zeros(0, np.bool_)]
    for start in range(0, len(held_out), _ROWS_HELD):
        found = _similar_in_train(sketches, held_out[start : start + _ROWS_HELD], is_train, texts, threshold)
        row.append(found.row)
        twin.append(found.twin)
        similarity.append(found.similarity)
        is_exact.append(found.is_exact)
    return Overlap(np.concatenate(row), np.concatenate(twin), np.concatenate(similarity), np.concatenate(is_exact))
