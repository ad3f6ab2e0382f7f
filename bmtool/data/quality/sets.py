"""Sets of hashes for one document after the other, without clearing between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bmtool.data.quality.native import compiled, inlined

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Seen(NamedTuple):
    """A set of hashes that is emptied by counting on: a place counts only if it holds the current epoch."""

    keys: NDArray[np.uint64]
    """(2^m,) 40 bits of a hash, 24 bits of the epoch; the other 24 bits of the hash say where to look"""
    counts: NDArray[np.int32]
    epoch: NDArray[np.int64]
    """(1,)"""


@inlined
def is_seen(h, seen, mask):  # type: ignore[no-untyped-def]
    """(whether the hash was in the set, its place); it is in it afterwards."""
    epoch = np.uint64(seen.epoch[0])
    place = np.int64(h >> np.uint64(40)) & mask
    value = h << np.uint64(24) | epoch
    while seen.keys[place] != value and seen.keys[place] & np.uint64(0xFFFFFF) == epoch:
        place = (place + 1) & mask
    is_copy = seen.keys[place] == value
    seen.keys[place] = value
    return is_copy, place


@compiled
def mask_of(num):  # type: ignore[no-untyped-def]
    """One less than the power of two that holds `num` entries half full."""
    size = 64
    while size < 2 * num:
        size *= 2
    return size - 1
