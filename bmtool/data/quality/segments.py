"""A memo of segments (what stands between two white spaces): each is cut into words once, then only looked up.

A text of any size has few different segments, and a segment's words don't depend on what stands around it, so a memo
is exact. Characters of scripts without spaces are segments of their own: Chinese profits likewise.

Two segments whose 64-bit hashes are equal are told apart by their bytes. The memo never changes what is measured; it
may be emptied, cut or loaded at any time.
"""

from __future__ import annotations

import threading
import unicodedata
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numba as nb
import numpy as np

from bmtool.data.quality import english
from bmtool.data.quality.english import (
    CLOSER,
    DECIMAL,
    LAST,
    LETTER,
    PUNCTUATION,
    SPACE,
    SYMBOL,
    TERMINAL,
    UNSPACED,
)
from bmtool.data.quality.tokens import _OFFSET, _PRIME, cut, decode, exception, finished, hash_of, scratch, tables
from bmtool.data.words import code_point

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Raised when a segment is described otherwise than before; a saved memo of another version is refused.
VERSION = f"1, Unicode {unicodedata.unidata_version}"

#: About 150 bytes each: 75 MB a process.
MAX_ROWS = 1 << 19

# What a segment is like (`flags` of its row).
IS_UNSPACED = 1 << 0  # one character that is a word by itself
IS_WIDE = 1 << 1  # of these, Han and kana
STARTS_WITH_BULLET = 1 << 2
ENDS_WITH_ELLIPSIS = 1 << 3
ENDS_WITH_TERMINAL = 1 << 4  # FineWeb's terminal punctuation
ENDS_LINE = 1 << 5  # C4's
IS_LONG = 1 << 6  # more than 1,000 characters
HAS_BRACE = 1 << 7
MAY_BE_POLICY = 1 << 8  # holds a word that C4's phrases hold
MAY_BE_CITATION = 1 << 9
STARTS_SENTENCE = 1 << 10  # a word comes before the first mark that ends a sentence
ENDS_SENTENCE = 1 << 11  # such a mark comes before the first word
LEAVES_SENTENCE_ENDED = 1 << 12  # no word follows the last such mark
IS_UNSTOPPED = 1 << 13  # of the unspaced, Thai and Lao: they have no full stop
STOP_WORD = 16  # the first of eight bits

#: One segment. `text`, `size`: its bytes; `first`, `tokens`: where its tokens are, how many.
ROW = np.dtype(
    [
        ("hash", np.uint64),
        ("text", np.int64),
        ("first", np.int64),
        ("size", np.int32),
        ("tokens", np.int32),
        ("chars", np.int32),
        ("words", np.int32),  # tokens that are not symbols only
        ("word_chars", np.int32),
        ("alpha", np.int32),  # tokens with a letter
        ("hashes", np.int32),  # '#'
        ("ellipses", np.int32),
        ("sentences", np.int32),  # that start inside, unless one started before
        ("flags", np.int32),
        ("uses", np.int64),
    ],
    align=True,
)

ROWS, TEXT, TOKENS, FILLED = 0, 1, 2, 3  # places in `Arrays.counts`


class Arrays(NamedTuple):
    """The memo as kernels see it."""

    slots: NDArray[np.uint64]
    """(2^m, 2) open addressing: a segment's hash, its row"""
    rows: NDArray[np.void]
    text: NDArray[np.uint8]
    token_hashes: NDArray[np.uint64]
    token_chars: NDArray[np.int32]
    counts: NDArray[np.int64]
    """how many rows, bytes of text and tokens there are, and how many rows are filled"""


class Segments(NamedTuple):
    """The segments of some texts, in their order."""

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    firsts: NDArray[np.int64]
    """(N + 1,) the first segment of each text"""
    newlines: NDArray[np.int64]
    """(N,) line breaks of each text"""
    rows: NDArray[np.int64]
    """the row of each segment in the memo"""


PLAIN, ALONE, BLANK = 0, 1, 2


@cache
def _kinds() -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """(LAST + 1,) PLAIN, ALONE or BLANK of each code point; (256,) the first bytes of those that are not PLAIN."""
    flags = english.characters()
    kinds = np.where(flags & SPACE, BLANK, np.where(flags & UNSPACED, ALONE, PLAIN)).astype(np.uint8)
    leads = np.zeros(256, bool)
    for code in np.flatnonzero(kinds):
        if not 0xD800 <= code < 0xE000:
            leads[chr(code).encode()[0]] = True
    leads[0xF0:] = True  # Han of planes 2 and 3: the last entry stands for them
    return kinds, leads


@nb.njit(nogil=True, cache=True)
def _scan(data, offsets, kinds, leads, starts, ends, hashes, firsts, newlines):  # type: ignore[no-untyped-def]
    """Find the segments of each text, and hash them; how many there are."""
    n = 0
    for document in range(len(offsets) - 1):
        firsts[document] = n
        newlines[document] = 0
        i, end = offsets[document], offsets[document + 1]
        while i < end:
            h, start, kind, size = _OFFSET, i, np.uint8(PLAIN), 0
            while i < end:
                x = data[i]
                if leads[x]:
                    if x < 128:
                        kind, size = np.uint8(BLANK), 1
                        break
                    code, size = code_point(data, i)
                    kind = kinds[min(code, LAST)]
                    if kind != PLAIN:
                        break
                    for k in range(i, i + size):
                        h = (h ^ np.uint64(data[k])) * _PRIME
                    i += size
                else:
                    h = (h ^ np.uint64(x)) * _PRIME
                    i += 1
            if i > start:
                starts[n], ends[n], hashes[n] = start, i, finished(h)
                n += 1
            if kind == ALONE:
                starts[n], ends[n], hashes[n] = i, i + size, hash_of(data, i, i + size)
                n += 1
            elif kind == BLANK and data[i] == 10:
                newlines[document] += 1
            i += size if kind != PLAIN else 0
    firsts[len(offsets) - 1] = n
    return n


@nb.njit(inline="always")
def _is_same(row, text, data, start, size):  # type: ignore[no-untyped-def]
    k, place = 0, row.text
    if row.size == size:
        while k < size and text[place + k] == data[start + k]:
            k += 1
    return k == size


@nb.njit(nogil=True, cache=True)
def _look_up(data, starts, ends, hashes, found, begin, num, memo):  # type: ignore[no-untyped-def]
    """Set `found` from `begin` on, adding rows for new segments; where it stopped as the memo is full, or `num`."""
    slots, rows, counts = memo.slots, memo.rows, memo.counts
    mask = np.uint64(len(slots) - 1)
    limit = min(len(rows), len(slots) // 2)
    for k in range(begin, num):
        h, start = hashes[k], starts[k]
        size = ends[k] - start
        place = (h >> np.uint64(1)) & mask
        number = np.int64(-1)
        while slots[place, 0] != 0:
            if slots[place, 0] == h and _is_same(rows[slots[place, 1]], memo.text, data, start, size):
                number = np.int64(slots[place, 1])
                break
            place = (place + np.uint64(1)) & mask
        if number < 0:
            number = counts[ROWS]
            if number == limit:
                return k
            slots[place, 0], slots[place, 1] = h, np.uint64(number)
            row = rows[number]
            row.hash, row.text, row.size, row.uses = h, counts[TEXT], size, 0
            memo.text[counts[TEXT] : counts[TEXT] + size] = data[start : start + size]
            counts[TEXT] += size
            counts[ROWS] += 1
        rows[number].uses += 1
        found[k] = number
    return num


@nb.njit(nogil=True, cache=True)
def _has_letters(data, a, b, word):  # type: ignore[no-untyped-def]
    """Whether lower-case ASCII `word` stands in data[a:b], in any case."""
    for i in range(a, b - len(word) + 1):
        k = 0
        while k < len(word) and (data[i + k] | 32) == word[k]:
            k += 1
        if k == len(word):
            return True
    return False


@nb.njit(nogil=True, cache=True)
def _may_be_citation(data, flags, places, n):  # type: ignore[no-untyped-def]
    """Whether a decoded segment holds `[1]` or the like, `[edit]`, or a part of `[citation needed]`."""
    for i in range(n - 1):
        if data[places[i]] == 100 and data[places[i + 1]] == 93:  # d]
            return True
        if data[places[i]] != 91:
            continue
        k = i + 1
        while k < n and flags[k] & DECIMAL:
            k += 1
        x = data[places[k]] if k < n else np.uint8(0)
        if x == 93 or (k == i + 1 and (x == 101 or x == 99)):  # ], or e or c at once
            return True
    return False


@nb.njit(nogil=True, cache=True)
def _ends_line(codes, flags, n):  # type: ignore[no-untyped-def]
    """Whether a line that ends with this segment ends well for C4, in any script."""
    x = codes[n - 1]
    if x == 46:
        return not (n > 2 and codes[n - 2] == 46 and codes[n - 3] == 46)
    if x == 63 or x == 33 or x == 34 or x == 39:
        return True
    if 0xE00 <= x < 0xF00:  # Thai and Lao have no full stop
        return True
    while n > 1 and flags[n - 1] & CLOSER:
        n -= 1
    return codes[n - 1] >= 128 and (flags[n - 1] & TERMINAL) != 0


@nb.njit(nogil=True, cache=True)
def _flags_of(data, row, room, n, triggers):  # type: ignore[no-untyped-def]
    """The flags of a decoded segment that don't depend on its tokens; sets `hashes` and `ellipses` of its row."""
    codes, flags = room.codes, room.flags
    found, dots = np.int32(0), 0
    row.hashes, row.ellipses = 0, 0
    for i in range(n):
        x = codes[i]
        row.hashes += x == 35
        dots = dots + 1 if x == 46 else 0
        if x == 0x2026 or dots == 3:
            row.ellipses += 1
            dots = 0
        if x == 123:
            found |= HAS_BRACE
    if codes[0] == 45 or codes[0] == 0x2022:
        found |= STARTS_WITH_BULLET
    is_dots = n > 2 and codes[n - 1] == 46 and codes[n - 2] == 46 and codes[n - 3] == 46
    if is_dots or codes[n - 1] == 0x2026:
        found |= ENDS_WITH_ELLIPSIS
    if flags[n - 1] & TERMINAL:
        found |= ENDS_WITH_TERMINAL
    if _ends_line(codes, flags, n):
        found |= ENDS_LINE
    if n > 1000:
        found |= IS_LONG
    a, b = row.text, row.text + row.size
    if n > 4:
        for t in range(len(triggers) - 1):
            word = triggers[t, 1 : 1 + triggers[t, 0]]
            if _has_letters(data, a, b, word):
                found |= MAY_BE_POLICY
    if _may_be_citation(data, flags, room.places, n):
        found |= MAY_BE_CITATION
    if n == 1 and flags[0] & UNSPACED:
        found |= IS_UNSPACED
        if codes[0] >= 0x2E80:
            found |= IS_WIDE
        if 0xE00 <= codes[0] < 0xF00:
            found |= IS_UNSTOPPED
    return found


@nb.njit(nogil=True, cache=True)
def _describe(row, room, num_tokens, memo, stop_words):  # type: ignore[no-untyped-def]
    """Store the tokens of a segment and what follows from them."""
    place, has_ended = row.first, False
    for k in range(num_tokens):
        a, b = room.tokens[k, 0], room.tokens[k, 1]
        every, some, is_word = -1, 0, False
        for i in range(a, b):
            every &= room.flags[i]
            some |= room.flags[i]
            is_word |= (room.flags[i] & SYMBOL) == 0
        h = hash_of(memo.text, room.places[a], room.places[b])
        memo.token_hashes[place + k], memo.token_chars[place + k] = h, b - a
        if is_word:
            row.words += 1
            row.word_chars += b - a
        # a vowel sign of Thai is no letter to Unicode, but here each character is a word
        row.alpha += (some & LETTER) != 0 or (some & UNSPACED and not some & DECIMAL)
        if 2 <= b - a <= 4:
            for w in range(len(stop_words)):
                if stop_words[w] == h:
                    row.flags |= 1 << (STOP_WORD + w)
        if b - a == 1 and every & TERMINAL:
            if not row.flags & (STARTS_SENTENCE | ENDS_SENTENCE):
                row.flags |= ENDS_SENTENCE
            has_ended = True
        elif not every & PUNCTUATION:
            row.sentences += has_ended
            if not row.flags & (STARTS_SENTENCE | ENDS_SENTENCE):
                row.flags |= STARTS_SENTENCE
            has_ended = False
    if has_ended:
        row.flags |= LEAVES_SENTENCE_ENDED


@nb.njit(nogil=True, cache=True)
def _fill(memo, tables, room, triggers):  # type: ignore[no-untyped-def]
    """Describe the rows that were added."""
    counts = memo.counts
    for number in range(counts[FILLED], counts[ROWS]):
        row = memo.rows[number]
        a, b = row.text, row.text + row.size
        n = decode(memo.text, a, b, room, tables.flags)
        row.chars, row.first, row.words, row.word_chars, row.alpha, row.sentences = n, counts[TOKENS], 0, 0, 0, 0
        row.flags = _flags_of(memo.text, row, room, n, triggers)
        every = -1
        for i in range(n):
            every &= room.flags[i]
        if every & LETTER and n == row.size and exception(memo.text, a, b, tables) < 0:  # ASCII letters: one word
            room.tokens[0, 0], room.tokens[0, 1] = 0, n
            row.tokens = 1
        else:
            row.tokens = cut(memo.text, n, room, tables)
        _describe(row, room, row.tokens, memo, tables.stop_words)
        counts[TOKENS] += row.tokens
    counts[FILLED] = counts[ROWS]


@nb.njit(nogil=True, cache=True)
def _insert_all(slots, rows, num):  # type: ignore[no-untyped-def]
    mask = np.uint64(len(slots) - 1)
    for number in range(num):
        place = (rows[number].hash >> np.uint64(1)) & mask
        while slots[place, 0] != 0:
            place = (place + np.uint64(1)) & mask
        slots[place, 0], slots[place, 1] = rows[number].hash, np.uint64(number)


@nb.njit(nogil=True, cache=True)
def _copy_rows(old, kept, new):  # type: ignore[no-untyped-def]
    """Copy the rows `kept`, with their bytes and tokens, into an empty memo."""
    text = tokens = 0
    for number in range(len(kept)):
        row = old.rows[kept[number]]
        new.text[text : text + row.size] = old.text[row.text : row.text + row.size]
        end = row.first + row.tokens
        new.token_hashes[tokens : tokens + row.tokens] = old.token_hashes[row.first : end]
        new.token_chars[tokens : tokens + row.tokens] = old.token_chars[row.first : end]
        new.rows[number] = row
        new.rows[number].text, new.rows[number].first = text, tokens
        new.rows[number].uses = row.uses // 2
        text += row.size
        tokens += row.tokens
    new.counts[ROWS], new.counts[TEXT], new.counts[TOKENS], new.counts[FILLED] = len(kept), text, tokens, len(kept)


def empty_arrays(rows: int, text: int, tokens: int) -> Arrays:
    """Arrays with room for so many rows, bytes of text and tokens."""
    slots = np.zeros((1 << (2 * max(rows, 512) - 1).bit_length(), 2), np.uint64)
    data = (np.zeros(rows, ROW), np.empty(text, np.uint8), np.empty(tokens, np.uint64), np.empty(tokens, np.int32))
    return Arrays(slots, *data, np.zeros(4, np.int64))


def _with_room(array: NDArray, used: int, more: int) -> NDArray:  # type: ignore[type-arg]
    if used + more <= len(array):
        return array
    grown = np.empty(max(used + more, len(array) * 3 // 2), array.dtype)
    grown[:used] = array[:used]
    return grown


@cache
def _triggers() -> NDArray[np.uint8]:
    """(6, 16) a word's length and its letters; the last row is empty."""
    words = np.zeros((6, 16), np.uint8)
    for place, word in enumerate((b"javascript", b"ipsum", b"cookies", b"policy", b"terms")):
        words[place, 0] = len(word)
        words[place, 1 : 1 + len(word)] = list(word)
    return words


class Memo:
    """Segments seen so far. At most `max_rows` stay from one call of `trim` to the next: the most used."""

    def __init__(self, max_rows: int = MAX_ROWS) -> None:
        self.max_rows = max_rows
        self.arrays = empty_arrays(4096, 1 << 16, 1 << 13)
        self.lock = threading.Lock()

    def __len__(self) -> int:
        return int(self.arrays.counts[ROWS])

    def segments(self, data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> Segments:
        """The segments of N texts, with their rows; new ones are added."""
        kinds, leads = _kinds()
        num_texts = len(offsets) - 1
        most = (int(offsets[-1] - offsets[0]) + num_texts) // 2 + 2  # a segment is two bytes, or one and a blank
        starts, ends, hashes = np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most, np.uint64)
        firsts, newlines = np.empty(num_texts + 1, np.int64), np.empty(num_texts, np.int64)
        num = _scan(data, offsets, kinds, leads, starts, ends, hashes, firsts, newlines)
        rows = np.empty(num, np.int64)
        self._reserve_text(int(offsets[-1] - offsets[0]))
        done = 0
        while (done := _look_up(data, starts, ends, hashes, rows, done, num, self.arrays)) < num:
            self._grow()
        self._describe()
        return Segments(starts, ends, firsts, newlines, rows)

    def _reserve_text(self, num_bytes: int) -> None:
        arrays = self.arrays
        self.arrays = arrays._replace(text=_with_room(arrays.text, int(arrays.counts[TEXT]), num_bytes))

    def _grow(self) -> None:
        num, slots = len(self), self.arrays.slots
        if num >= len(slots) // 2:
            slots = np.zeros((len(slots) * 2, 2), np.uint64)
            _insert_all(slots, self.arrays.rows, num)
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
        _fill(self.arrays, tables(), scratch(int(sizes.max())), _triggers())

    def trim(self) -> None:
        """Forget all but the most used half once there are more than `max_rows`."""
        if len(self) > self.max_rows:
            self.keep(self.max_rows // 2)

    def keep(self, num_rows: int) -> None:
        """Forget all but the `num_rows` most used rows; of equals, the older stay."""
        rows = self.arrays.rows[: len(self)]
        kept = np.sort(np.argsort(-rows["uses"], kind="stable")[:num_rows])
        new = empty_arrays(max(len(kept), 512), int(rows["size"][kept].sum()), int(rows["tokens"][kept].sum()))
        _copy_rows(self.arrays, kept, new)
        _insert_all(new.slots, new.rows, len(kept))
        self.arrays = new


@cache
def memo() -> Memo:
    """The memo of this process; it lives as long as the process."""
    return Memo()
