"""Sorted 64-bit hashes that can be looked up fast from a kernel, with a filter in front for those that aren't there."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bmtool.data.compiled import nb

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Bits of the filter for each key: of the keys that aren't there, one in so many passes it.
_FILTER_BITS = 16


class Lookup(NamedTuple):
    """Sorted distinct keys (evenly spread hashes), found by their leading bits; a tuple, so that kernels take it."""

    keys: NDArray[np.uint64]
    starts: NDArray[np.int64]
    """`starts[b]` is the place of the first key with leading bits b or more."""
    shift: np.uint64
    filter: NDArray[np.uint8]
    """A bit for each value of more leading bits: whether a key begins so."""
    filter_shift: np.uint64


def distinct(keys: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """The keys sorted, each once; sorts them in place. `np.unique` hashes them first, which takes many times longer."""
    keys.sort()
    is_new = np.ones(len(keys), np.bool_)
    is_new[1:] = keys[1:] != keys[:-1]
    return keys[is_new]


def lookup(keys: NDArray[np.uint64]) -> Lookup:
    """A lookup of sorted distinct keys; it takes 18 to 28 bytes a key."""
    bits = max(1, len(keys).bit_length())
    shift = np.uint64(64 - bits)
    starts = np.searchsorted(keys >> shift, np.arange((1 << bits) + 1, dtype=np.uint64))
    filter_bits = max(16, (_FILTER_BITS * len(keys)).bit_length())
    filter_shift = np.uint64(64 - filter_bits)
    filter_ = np.zeros(1 << (filter_bits - 3), np.uint8)
    places = keys >> filter_shift
    np.bitwise_or.at(filter_, places >> np.uint64(3), np.uint8(1) << (places & np.uint64(7)).astype(np.uint8))
    return Lookup(keys, starts, shift, filter_, filter_shift)


@nb.njit(nogil=True, cache=True)
def _perhaps_repeated(keys, counts):  # type: ignore[no-untyped-def]
    """`counts` (2^k zeros) has a place for each key, shared by few."""
    last = np.uint64(len(counts) - 1)
    num_repeated = 0
    for key in keys:
        place = key & last
        counts[place] += key != 0 and counts[place] < 2
    for key in keys:
        num_repeated += key != 0 and counts[key & last] == 2
    rows = np.empty(num_repeated, np.int64)
    k = 0
    for row in range(len(keys)):
        if keys[row] != 0 and counts[keys[row] & last] == 2:
            rows[k] = row
            k += 1
    return rows


def perhaps_repeated(keys: NDArray[np.uint64]) -> NDArray[np.int64]:
    """The rows whose key (evenly spread, not 0) is there twice, ascending; of others one row in four to eight."""
    return np.asarray(_perhaps_repeated(keys, np.zeros(1 << max(10, (4 * len(keys)).bit_length()), np.uint8)))


@nb.njit(inline="always")
def find(table, key):  # type: ignore[no-untyped-def]
    """The place of `key` among the keys of a `Lookup`, or -1."""
    bit = key >> table.filter_shift
    if table.filter[bit >> np.uint64(3)] >> np.uint8(bit & np.uint64(7)) & 1 == 0:
        return -1
    bucket = np.int64(key >> table.shift)
    for place in range(table.starts[bucket], table.starts[bucket + 1]):
        if table.keys[place] == key:
            return place
    return -1
