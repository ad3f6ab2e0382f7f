"""A memo of segments (what stands between two white spaces): each is cut into words once, then only looked up.

A text of any size has few different segments, and a segment's words don't depend on what stands around it, so a memo
is exact. Characters of scripts without spaces are segments of their own: Chinese profits likewise.

Two segments whose 64-bit hashes are equal are told apart by their bytes. The memo never changes what is measured; it
may be emptied, cut or loaded at any time.
"""

from __future__ import annotations

import threading
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from bmtool.data.quality.describe import describe_new
from bmtool.data.quality.native import compiled, inlined
from bmtool.data.quality.rows import NUM_BYTES, NUM_DESCRIBED, NUM_ROWS, NUM_TOKENS, ROW, Arrays
from bmtool.data.quality.segments import SHORT, Segments, kinds_of_characters, scan
from bmtool.data.quality.tables import tables
from bmtool.data.quality.tokens import scratch

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: 48 MB a process. Cutting a segment again is cheap, so more room hardly helps: on 217 MB of documentation with 1.7
#: million different segments, text seen before ran at 36 MB/s with room for 2^16 or 2^17, 37 with 2^18 to 3 * 2^18.
MAX_ROWS = 1 << 18

_MEAN_BYTES, _MEAN_TOKENS = 32, 8
#: Longer segments hardly come again; they are the first to go.
_LONG = 256


@inlined
def _is_same(row, text, data, start, size):  # type: ignore[no-untyped-def]
    k, place = 0, row.text
    if row.size == size:
        while k < size and text[place + k] == data[start + k]:
            k += 1
    return k == size


@compiled
def _look_up(data, starts, ends, hashes, found, begin, num, memo):  # type: ignore[no-untyped-def]
    """Set `found` from `begin` on, adding rows for new segments; where it stopped as the memo is full, or `num`."""
    slots, rows, counts = memo.slots, memo.rows, memo.counts
    mask = np.uint64(len(slots) - 1)
    limit = min(len(rows), len(slots) * 3 // 4)
    for k in range(begin, num):
        h, start = hashes[k], starts[k]
        size = ends[k] - start
        place = (h >> np.uint64(1)) & mask
        is_short = size <= SHORT
        number = np.int64(-1)
        while slots[place, 0] != 0:
            if slots[place, 0] == h and (slots[place, 1] & np.uint64(1)) == is_short:
                number = np.int64(slots[place, 1] >> np.uint64(1))
                if is_short or _is_same(rows[number], memo.text, data, start, size):
                    break
                number = np.int64(-1)
            place = (place + np.uint64(1)) & mask
        if number < 0:
            number = counts[NUM_ROWS]
            if number == limit:
                return k
            slots[place, 0], slots[place, 1] = h, np.uint64(number << 1 | is_short)
            row = rows[number]
            row.hash, row.text, row.size, row.uses = h, counts[NUM_BYTES], size, 0
            for i in range(size):
                memo.text[counts[NUM_BYTES] + i] = data[start + i]
            counts[NUM_BYTES] += size
            counts[NUM_ROWS] += 1
        rows[number].uses += 1
        found[k] = number
    return num


@compiled
def insert_all(slots, rows, num):  # type: ignore[no-untyped-def]
    """Put the first `num` rows into empty slots."""
    mask = np.uint64(len(slots) - 1)
    for number in range(num):
        place = (rows[number].hash >> np.uint64(1)) & mask
        while slots[place, 0] != 0:
            place = (place + np.uint64(1)) & mask
        slots[place, 0], slots[place, 1] = rows[number].hash, np.uint64(number << 1 | (rows[number].size <= SHORT))


@compiled
def _compact(memo, is_kept):  # type: ignore[no-untyped-def]
    """Move the rows that are kept, with their bytes and tokens, to the front; halve their uses."""
    rows, counts = memo.rows, memo.counts
    kept, text, tokens = 0, 0, 0
    for number in range(counts[NUM_ROWS]):
        if not is_kept[number]:
            continue
        row = rows[number]
        for k in range(row.size):
            memo.text[text + k] = memo.text[row.text + k]
        for k in range(row.tokens):
            memo.token_hashes[tokens + k] = memo.token_hashes[row.first + k]
            memo.token_chars[tokens + k] = memo.token_chars[row.first + k]
        rows[kept] = row
        row = rows[kept]
        row.text, row.first, row.uses = text, tokens, row.uses // 2
        text += row.size
        tokens += row.tokens
        kept += 1
    counts[NUM_ROWS], counts[NUM_DESCRIBED], counts[NUM_BYTES], counts[NUM_TOKENS] = kept, kept, text, tokens


def _num_slots(rows: int) -> int:
    """A power of two that so many rows fill to three quarters at most."""
    return 1 << (max(rows, 512) * 4 // 3).bit_length()


def empty_arrays(rows: int, text: int, tokens: int) -> Arrays:
    """Arrays with room for so many rows, bytes of text and tokens."""
    slots = np.zeros((_num_slots(rows), 2), np.uint64)
    data = (np.zeros(rows, ROW), np.empty(text, np.uint8), np.empty(tokens, np.uint64), np.empty(tokens, np.int32))
    return Arrays(slots, *data, np.zeros(4, np.int64))


def _with_room(array: NDArray, used: int, more: int) -> NDArray:  # type: ignore[type-arg]
    if used + more <= len(array):
        return array
    grown = np.empty(max(used + more, len(array) * 3 // 2), array.dtype)
    grown[:used] = array[:used]
    return grown


class Memo:
    """Segments seen so far. At most `max_rows` stay from one call of `trim` to the next: the most used."""

    def __init__(self, max_rows: int = MAX_ROWS) -> None:
        self.max_rows = max_rows
        self.arrays = empty_arrays(4096, 1 << 16, 1 << 13)
        self.lock = threading.Lock()

    def __len__(self) -> int:
        return int(self.arrays.counts[NUM_ROWS])

    def segments(self, data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> Segments:
        """The segments of N texts, with their rows; new ones are added."""
        kinds, leads = kinds_of_characters()
        num_texts = len(offsets) - 1
        if offsets[-1] - offsets[0] >= 1 << 30:
            raise ValueError("segments are found in at most 1 GiB of text at a time")
        most = (int(offsets[-1] - offsets[0]) + num_texts) // 2 + 2  # a segment is two bytes, or one and a blank
        starts, ends, hashes = np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most, np.uint64)
        firsts, newlines = np.empty(num_texts + 1, np.int64), np.empty(num_texts, np.int64)
        num = scan(data, offsets, kinds, leads, starts, ends, hashes, firsts, newlines)
        rows = np.empty(num, np.int64)
        self._reserve_text(int(offsets[-1] - offsets[0]))
        done = 0
        while (done := _look_up(data, starts, ends, hashes, rows, done, num, self.arrays)) < num:
            self._grow()
        self._describe()
        return Segments(starts, ends, firsts, newlines, rows)

    def _reserve_text(self, num_bytes: int) -> None:
        arrays = self.arrays
        self.arrays = arrays._replace(text=_with_room(arrays.text, int(arrays.counts[NUM_BYTES]), num_bytes))

    def _grow(self) -> None:
        num, slots = len(self), self.arrays.slots
        if num >= len(slots) * 3 // 4:
            slots = np.zeros((len(slots) * 2, 2), np.uint64)
            insert_all(slots, self.arrays.rows, num)
        self.arrays = self.arrays._replace(slots=slots, rows=_with_room(self.arrays.rows, num, 1))

    def _describe(self) -> None:
        arrays, (num, text, tokens, filled) = self.arrays, self.arrays.counts.tolist()
        if num == filled:
            return
        sizes = arrays.rows["size"][filled:num]
        more = text - int(arrays.rows["text"][filled])  # no segment has more tokens than bytes
        self.arrays = arrays._replace(
            token_hashes=_with_room(arrays.token_hashes, tokens, more),
            token_chars=_with_room(arrays.token_chars, tokens, more),
        )
        describe_new(self.arrays, tables(), scratch(int(sizes.max())))

    def trim(self) -> None:
        """Once there are more than `max_rows`, or they are long ones, forget all but the most used half of so many."""
        num, text, tokens, _ = self.arrays.counts.tolist()
        if num > self.max_rows or text > self._max_bytes or tokens > self._max_tokens:
            self.keep(self.max_rows // 2)
            self._shrink()

    @property
    def _max_bytes(self) -> int:
        return self.max_rows * _MEAN_BYTES

    @property
    def _max_tokens(self) -> int:
        return self.max_rows * _MEAN_TOKENS

    def _shrink(self) -> None:
        """Give back what a text of long segments took."""
        arrays, (num, text, tokens, _) = self.arrays, self.arrays.counts.tolist()
        if len(arrays.text) > 2 * self._max_bytes:
            arrays = arrays._replace(text=arrays.text[:text].copy())
        if len(arrays.token_chars) > 2 * self._max_tokens:
            hashes, chars = arrays.token_hashes[:tokens].copy(), arrays.token_chars[:tokens].copy()
            arrays = arrays._replace(token_hashes=hashes, token_chars=chars)
        if len(arrays.rows) > 2 * self.max_rows:
            slots = np.zeros((_num_slots(num), 2), np.uint64)
            insert_all(slots, arrays.rows, num)
            arrays = arrays._replace(rows=arrays.rows[:num].copy(), slots=slots)
        self.arrays = arrays

    def keep(self, num_rows: int) -> None:
        """Forget all but the `num_rows` most used rows; of equals, the older stay. Long segments go in any case."""
        rows = self.arrays.rows[: len(self)]
        uses = np.where(rows["size"] > _LONG, 0, np.clip(rows["uses"], 1, 255))
        used_more = np.cumsum(np.bincount(uses, minlength=257)[::-1])[::-1]  # rows with at least so many uses
        limit = max(1, int(np.argmax(used_more <= num_rows)))
        is_kept = uses >= limit
        if limit > 1:
            is_kept[np.flatnonzero(uses == limit - 1)[: num_rows - int(used_more[limit])]] = True
        _compact(self.arrays, is_kept)
        self.arrays.slots[:] = 0
        insert_all(self.arrays.slots, self.arrays.rows, len(self))


@cache
def memo() -> Memo:
    """The memo of this process; it lives as long as the process."""
    return Memo()
