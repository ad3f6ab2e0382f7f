"""Which rows share a band with some others: what was found among the rest stays, whatever becomes of those."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bmtool.data.compiled import nb
from bmtool.data.similarity.bands import BANDS, band_key, band_keys
from bmtool.data.similarity.fingerprints import VALUES
from bmtool.data.similarity.lookup import Lookup, distinct, find, lookup

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bmtool.data.similarity.bands import Sketches


class Touched(NamedTuple):
    """The bands of some rows, ready to be looked up; a tuple, so that kernels take it."""

    seen: NDArray[np.uint8]
    """(112, 8192) a bit for each value that one of the rows has in this place. Of the rows of a large corpus nearly all
    are told apart from a few thousand by the first two values of each band, without a key being made."""
    table: Lookup


@nb.njit(inline="always")
def _of_band(key, band):  # type: ignore[no-untyped-def]
    """Another key for each band: no two have the same first two values."""
    return key + np.uint64(band[0] * VALUES + band[1]) * np.uint64(0xD6E8FEB86659FD93)


@nb.njit(inline="always")
def _has(seen, place, value):  # type: ignore[no-untyped-def]
    return seen[place, value >> np.uint16(3)] >> np.uint8(value & np.uint16(7)) & np.uint8(1) != 0


@nb.njit(nogil=True, cache=True)
def _collect(sketches, bands, keys, seen):  # type: ignore[no-untyped-def]
    """Turn keys (B, N) into those of their bands, and note the values that bands begin with."""
    for row in range(len(sketches)):
        for band in range(len(bands)):
            if keys[band, row] == 0:
                continue
            keys[band, row] = _of_band(keys[band, row], bands[band])
            for place in bands[band, :2]:
                value = sketches[row, place]
                seen[place, value >> np.uint16(3)] |= np.uint8(1) << np.uint8(value & np.uint16(7))


@nb.njit(nogil=True, cache=True)
def _fill(sketches, bands, seen, table, keys):  # type: ignore[no-untyped-def]
    """Fill keys (B, N) with those that are in `table`, 0 elsewhere."""
    for band in range(len(bands)):
        first, second = bands[band, 0], bands[band, 1]
        for row in range(len(sketches)):
            keys[band, row] = 0
            if _has(seen, first, sketches[row, first]) and _has(seen, second, sketches[row, second]):
                key = band_key(sketches[row], bands[band])
                if key != 0 and find(table, _of_band(key, bands[band])) >= 0:
                    keys[band, row] = key


@nb.njit(nogil=True, cache=True)
def _mark(sketches, bands, seen, table, marks):  # type: ignore[no-untyped-def]
    """Mark the rows that have a key in `table`."""
    for row in range(len(sketches)):
        for band in range(len(bands)):
            first, second = bands[band, 0], bands[band, 1]
            if _has(seen, first, sketches[row, first]) and _has(seen, second, sketches[row, second]):
                key = band_key(sketches[row], bands[band])
                if key != 0 and find(table, _of_band(key, bands[band])) >= 0:
                    marks[row] = True
                    break


def touched_by(sketches: NDArray[np.uint16]) -> Touched:
    """The bands of K rows, given their sketches (K, 112). It takes about 700 bytes a row, and 1 MB."""
    keys = np.empty((len(BANDS), len(sketches)), np.uint64)
    band_keys(sketches, BANDS, keys)
    seen = np.zeros((VALUES, 1 << 13), np.uint8)
    is_worded = keys != 0
    _collect(sketches, BANDS, keys, seen)
    return Touched(seen, lookup(distinct(keys[is_worded])))


def are_touched(sketches: NDArray[np.uint16], touched: Touched) -> NDArray[np.bool_]:
    """(N,) whether each row, given its sketch (N, 112), shares a band with one of `touched`."""
    marks = np.zeros(len(sketches), np.bool_)
    _mark(sketches, BANDS, touched.seen, touched.table, marks)
    return marks


def rows_touched(sketches: Sketches, touched: Touched) -> NDArray[np.int64]:
    """The rows that share a band with one of `touched`, ascending: these very rows and others. One pass over all."""
    found = [np.flatnonzero(are_touched(part, touched)) + start for start, part in sketches.parts()]
    return np.concatenate([np.zeros(0, np.int64), *found])


class Chosen:
    """Some rows, for `candidates.compared`: they share a band only if it is one of `touched`.

    If they are all the rows that have such a band, then within these bands the same is found as among all rows.
    """

    def __init__(self, sketches: NDArray[np.uint16], touched: Touched) -> None:
        self._sketches, self._touched = sketches, touched

    def __len__(self) -> int:
        return len(self._sketches)

    def rows(self, rows: NDArray[np.int64]) -> NDArray[np.uint16]:
        """(K, 112) sketches of K rows."""
        return self._sketches[rows]

    def keys(self, bands: NDArray[np.int64], alive: NDArray[np.bool_] | None) -> NDArray[np.uint64]:
        """(B, N) as `Sketches.keys` has them; 0 too for a band that isn't one of `touched`."""
        keys = np.empty((len(bands), len(self)), np.uint64)
        _fill(self._sketches, bands, self._touched.seen, self._touched.table, keys)
        if alive is not None:
            keys[:, ~alive] = 0
        return keys
