"""A hash table from segments of text to their token ids, exact: a hit means that the bytes are equal.

Slots are found by a hash that is seeded per process, so that no text can be made up to be slow; ids don't depend on it.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import numpy as np

from bmtool.data.segments.memo_kernels import AT_ONCE, find_segments, list_segments, rehash, store_segments, write_ids

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Bytes behind the last segment that may be read.
MARGIN = 32


#: Segments kept before the memo is cleared: 2^20 slots of 32 bytes are half full then, 64 MB with the doubled table.
MAX_SEGMENTS = 1 << 20
FIRST_SLOTS = 1 << 16

#: Bytes of segments of more than 15 bytes, and ids that don't fit into a slot, kept before the memo is cleared.
MAX_LONG_BYTES = 1 << 24
MAX_IDS = 1 << 23


def eight_bytes_at(data: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """(L - 7,) the eight bytes from each place of `data` (MARGIN bytes and more), unaligned: a view, not a copy."""
    return np.ndarray((len(data) - 7,), np.uint64, data, strides=(1,))


class SegmentMemo:
    """Segments and their ids; bounded, and cleared as a whole when full."""

    def __init__(self, dtype: Any, *, fold: bool, max_segments: int = MAX_SEGMENTS) -> None:
        self.dtype = np.dtype(dtype)
        self.fold = fold
        self.max_segments = max_segments
        self.num_cleared = 0
        numbers = [secrets.randbits(64) for _ in range(3)]
        self._seeds = np.array([numbers[0], numbers[1] | 1, numbers[2] | 1], np.uint64)
        self._keys = np.empty((AT_ONCE, 3), np.uint64)
        self.clear()
        self.num_cleared = 0

    def __len__(self) -> int:
        return int(self._used[0])

    @property
    def num_bytes(self) -> int:
        """Memory taken."""
        return self._table.nbytes + self._ids.nbytes + self._long_bytes.nbytes

    def clear(self) -> None:
        """Forget everything."""
        self._table = np.zeros((FIRST_SLOTS, 4), np.uint64)
        self._ids = np.zeros(1 << 14, self.dtype)
        self._long_bytes = np.zeros(1 << 16, np.uint8)
        self._used = np.zeros(3, np.int64)
        self.num_cleared += 1

    @property
    def is_over(self) -> bool:
        """Whether it holds as much as it may."""
        segments, ids, long_bytes = self._used.tolist()
        return segments >= self.max_segments or ids >= MAX_IDS or long_bytes >= MAX_LONG_BYTES

    def make_room(self, num_segments: int, num_long_bytes: int) -> None:
        """Grow so that this much more fits in. What was found is to be looked up again."""
        slots = len(self._table)
        while 2 * (len(self) + num_segments) > slots:
            slots *= 2
        if slots > len(self._table):
            larger = np.zeros((slots, 4), np.uint64)
            rehash(self._table, larger, self._seeds)
            self._table = larger
        self._long_bytes = _grown(self._long_bytes, int(self._used[2]) + num_long_bytes)

    def find(
        self,
        data: NDArray[np.uint8],
        segments: tuple[NDArray[np.int32], NDArray[np.int32], int],
        found: NDArray[np.int32],
        missing: NDArray[np.int64],
    ) -> tuple[bool, int]:
        """Look up segments (starts, lengths, how many); a length of 0 ends a document.

        `data` has MARGIN bytes more than the segments. `found` gets the slot of each, `missing` the new ones (place,
        length, slot), which `store` is to be given the ids of.

        Returns:
            (whether there was no room for one: then `make_room` and ask again; how many are in `missing`).
        """
        starts, lengths, num = segments
        full: tuple[bool, int] = find_segments(
            data, eight_bytes_at(data), starts, lengths, num, self.fold, self._seeds, self._table, self._long_bytes,
            self._used, self._keys, found, missing,
        )  # fmt: skip
        return full

    def write(
        self,
        found: NDArray[np.int32],
        begin: int,
        out: NDArray[Any],
        written: int,
        ends: NDArray[np.int64],
        document: int,
    ) -> tuple[int, int, int]:
        """Write the ids of segments that were found, from `begin` on, behind `out[:written]`.

        `ends[document]` is set to where its ids end.

        Returns:
            (the first segment that `out` has no room for, or how many there are; ids written; document).
        """
        place: tuple[int, int, int] = write_ids(self._table, self._ids, found, begin, out, written, ends, document)
        return place

    def store(self, slots: NDArray[np.int64], counts: NDArray[np.int64], flat: NDArray[Any]) -> None:
        """Ids of segments that `find` found missing; a count below 0 leaves its segment open."""
        self._ids = _grown(self._ids, int(self._used[1]) + len(flat))
        store_segments(self._table, slots, counts, flat, self._ids, self._used)

    def contents(self) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[Any], NDArray[np.int64]]:
        """(bytes, offsets (S + 1,), ids, counts (S,)) of all S segments."""
        num = len(self)
        text = np.empty(16 * num + int(self._used[2]), np.uint8)
        offsets, counts = np.zeros(num + 1, np.int64), np.empty(num, np.int64)
        flat = np.empty(4 * num + int(self._used[1]), self.dtype)
        num = list_segments(self._table, self._long_bytes, self._ids, text, offsets, flat, counts)
        return text[: offsets[num]], offsets[: num + 1], flat[: counts[:num].sum()], counts[:num]


def _grown(array: NDArray[Any], wanted: int) -> NDArray[Any]:
    if wanted <= len(array):
        return array
    longer = np.zeros(max(wanted, 2 * len(array)), array.dtype)
    longer[: len(array)] = array
    return longer
