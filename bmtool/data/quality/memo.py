"""A memo of segments (what stands between two white spaces): each is cut into words once, then only looked up.

A text of any size has few different segments, and a segment's words don't depend on what stands around it, so a memo
is exact. Characters of scripts without spaces are segments of their own: Chinese profits likewise.

Two segments whose hashes are equal are told apart by their bytes, which of up to SHORT bytes stand in the hash and its
check. The memo never changes what is measured; it may be emptied, cut or loaded at any time.
"""

from __future__ import annotations

import threading
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from bmtool.data.quality.describe import describe_new
from bmtool.data.quality.hashing import SHORT, check_of
from bmtool.data.quality.native import compiled, inlined, spliced
from bmtool.data.quality.rows import NUM_BYTES, NUM_DESCRIBED, NUM_ROWS, NUM_TOKENS, ROW, Arrays
from bmtool.data.quality.segments import Segments, kinds_of_characters, scan
from bmtool.data.quality.tables import tables
from bmtool.data.quality.tokens import scratch
from bmtool.data.quality.wide import load_word, prefetch

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: 48 MB a process. Cutting a segment again is cheap, so more room hardly helps: on 217 MB of documentation with 1.7
#: million different segments, text seen before ran at 36 MB/s with room for 2^16 or 2^17, 37 with 2^18 to 3 * 2^18.
MAX_ROWS = 1 << 18

_MEAN_BYTES, _MEAN_TOKENS = 32, 8
#: Longer segments hardly come again; they are the first to go.
_LONG = 256


#: Segments are looked up so many at a time, so that what one waits for is on its way while others are worked on.
_BATCH = 64

#: The second half of a slot: a row, and above these bits the check of its segment. Never 0 unless the slot is empty.
_CHECK = 32
_NUMBER = (1 << _CHECK) - 1


@inlined
def _is_same(row, text, data, start, size):  # type: ignore[no-untyped-def]
    """Whether a row is a segment of more than SHORT bytes; the last word overlaps the one before."""
    if row.size != size:
        return False
    place, k = row.text, 0
    while k < size - 8 and load_word(text, place + k) == load_word(data, start + k):
        k += 8
    return k >= size - 8 and load_word(text, place + size - 8) == load_word(data, start + size - 8)


@inlined
def _key(check, number):  # type: ignore[no-untyped-def]
    """The second half of a row's slot."""
    return check << np.uint64(_CHECK) | np.uint64(number)


@spliced
def _add(data, start, size, h, check, place, memo):  # type: ignore[no-untyped-def]
    """Put a new segment into an empty slot; its row."""
    number, text = memo.counts[NUM_ROWS], memo.counts[NUM_BYTES]
    memo.slots[place, 0], memo.slots[place, 1] = h, _key(check, number)
    row = memo.rows[number]
    row.hash, row.text, row.size = h, text, size
    memo.uses[number] = 0
    for i in range(size):
        memo.text[text + i] = data[start + i]
    memo.counts[NUM_BYTES] += size
    memo.counts[NUM_ROWS] += 1
    return number


@spliced
def _row_of(data, start, size, h, check, memo, limit):  # type: ignore[no-untyped-def]
    """The row of a segment, an added one if it is new; -1 if there are `limit` rows."""
    slots = memo.slots
    mask = np.int64(len(slots) - 1)
    place = np.int64(h >> np.uint64(1)) & mask
    while slots[place, 1] != 0:
        if slots[place, 0] == h and slots[place, 1] >> np.uint64(_CHECK) == check:
            number = np.int64(slots[place, 1] & np.uint64(_NUMBER))
            if size <= SHORT or _is_same(memo.rows[number], memo.text, data, start, size):
                return number
        place = (place + 1) & mask
    if memo.counts[NUM_ROWS] == limit:
        return -1
    return _add(data, start, size, h, check, place, memo)


@compiled
def look_up(data, segments, begin, num, memo):  # type: ignore[no-untyped-def]
    """Set the rows from `begin` on, adding rows for new segments; where it stopped as the memo is full, or `num`."""
    starts, ends, hashes, found = segments.starts, segments.ends, segments.hashes, segments.rows
    slots, rows = memo.slots, memo.rows
    mask = np.int64(len(slots) - 1)
    limit = min(len(rows), len(slots) * 3 // 4)
    for first in range(begin, num, _BATCH):
        last = min(first + _BATCH, num)
        for k in range(first, last):
            prefetch(slots, np.int64(hashes[k] >> np.uint64(1)) & mask)
        for k in range(first, last):
            h, check = hashes[k], check_of(data, starts[k], ends[k])
            place = np.int64(h >> np.uint64(1)) & mask
            is_it = slots[place, 0] == h and slots[place, 1] >> np.uint64(_CHECK) == check
            found[k] = np.int64(slots[place, 1] & np.uint64(_NUMBER)) if is_it else -1
        for k in range(first, last):
            number, start, size = np.int64(found[k]), starts[k], ends[k] - starts[k]
            if number < 0 or (size > SHORT and not _is_same(rows[number], memo.text, data, start, size)):
                number = _row_of(data, start, size, hashes[k], check_of(data, start, start + size), memo, limit)
                if number < 0:
                    return k
                found[k] = number
            memo.uses[number] += 1
            prefetch(memo.briefs, number)
            prefetch(rows, number)
    return num


@compiled
def insert_all(slots, rows, text, num):  # type: ignore[no-untyped-def]
    """Put the first `num` rows into empty slots."""
    mask = np.int64(len(slots) - 1)
    for number in range(num):
        row = rows[number]
        place = np.int64(row.hash >> np.uint64(1)) & mask
        while slots[place, 1] != 0:
            place = (place + 1) & mask
        slots[place, 0], slots[place, 1] = row.hash, _key(check_of(text, row.text, row.text + row.size), number)


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
        row.text, row.first = text, tokens
        memo.briefs[kept], memo.uses[kept] = memo.briefs[number], memo.uses[number] // 2
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
    of_rows = (np.zeros(rows, ROW), np.empty(rows, np.int64), np.empty(rows, np.int32))
    data = (np.empty(text, np.uint8), np.empty(tokens, np.uint64), np.empty(tokens, np.int32))
    return Arrays(slots, *of_rows, *data, np.zeros(4, np.int64))


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
        num_texts, num_bytes = len(offsets) - 1, int(offsets[-1] - offsets[0])
        if num_bytes >= 1 << 30:
            raise ValueError("segments are found in at most 1 GiB of text at a time")
        most = (num_bytes + num_texts) // 2 + 2  # a segment is two bytes, or one and a blank
        starts, ends, hashes = np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most, np.uint64)
        firsts, newlines = np.empty(num_texts + 1, np.int64), np.empty(num_texts, np.int64)
        found = Segments(starts, ends, hashes, np.empty(most, np.int32), firsts, newlines)
        num = scan(data, offsets, kinds_of_characters(), starts, ends, hashes, firsts, newlines)
        self._reserve_text(num_bytes)
        done = 0
        while (done := look_up(data, found, done, num, self.arrays)) < num:
            self._grow()
        self._describe()
        return found

    def _reserve_text(self, num_bytes: int) -> None:
        arrays = self.arrays
        self.arrays = arrays._replace(text=_with_room(arrays.text, int(arrays.counts[NUM_BYTES]), num_bytes))

    def _grow(self) -> None:
        num, slots = len(self), self.arrays.slots
        if num >= len(slots) * 3 // 4:
            slots = np.zeros((len(slots) * 2, 2), np.uint64)
            insert_all(slots, self.arrays.rows, self.arrays.text, num)
        of_rows = {name: _with_room(getattr(self.arrays, name), num, 1) for name in ("rows", "briefs", "uses")}
        self.arrays = self.arrays._replace(slots=slots, **of_rows)

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
            insert_all(slots, arrays.rows, arrays.text, num)
            of_rows = {name: getattr(arrays, name)[:num].copy() for name in ("rows", "briefs", "uses")}
            arrays = arrays._replace(slots=slots, **of_rows)
        self.arrays = arrays

    def keep(self, num_rows: int) -> None:
        """Forget all but the `num_rows` most used rows; of equals, the older stay. Long segments go in any case."""
        sizes = self.arrays.rows["size"][: len(self)]
        uses = np.where(sizes > _LONG, 0, np.clip(self.arrays.uses[: len(self)], 1, 255))
        used_more = np.cumsum(np.bincount(uses, minlength=257)[::-1])[::-1]  # rows with at least so many uses
        limit = max(1, int(np.argmax(used_more <= num_rows)))
        is_kept = uses >= limit
        if limit > 1:
            is_kept[np.flatnonzero(uses == limit - 1)[: num_rows - int(used_more[limit])]] = True
        _compact(self.arrays, is_kept)
        self.arrays.slots[:] = 0
        insert_all(self.arrays.slots, self.arrays.rows, self.arrays.text, len(self))


@cache
def memo() -> Memo:
    """The memo of this process; it lives as long as the process."""
    return Memo()
