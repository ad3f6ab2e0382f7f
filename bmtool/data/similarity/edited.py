"""Held-out rows of which train has the text but for one word: what the similarity of a short row doesn't show.

A word that is changed changes five runs of five words: of 33 words it leaves a Jaccard similarity of 0.7, of 20
words 0.52, of 12 words 0.23, where two strangers with a common phrase are, too. So short rows are compared exactly:

    A held-out row is an edited copy if it and a row of train are equal once at most one word is taken out of each,
    and at least `LEAST_COMMON` words are left.

That is a word replaced, added, left out or moved. In Chinese, Japanese and Thai a word is a character
(`bmtool.data.text.words`); case, punctuation and white space are no words, rows that differ in these alone are
similar anyhow. One word off, whatever the length: a share of the words would have to let two words go from some length
on, and two of 20 are what strangers that follow one pattern ("the act of ...") differ in.

How it is found: by the hash of the row whole and of the row without each of its words, which is one multiplication for
each word. Rows of train are looked up in those of the held-out rows; nothing is compared pair by pair. Most needn't be
read to their end: two such rows begin alike once at most one of their first words is taken out of each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bmtool.data.compiled import nb
from bmtool.data.similarity.lookup import distinct, find, lookup
from bmtool.data.similarity.shingles import hash_words, word_tables
from bmtool.data.text.documents import text_buffers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pyarrow as pa
    from numpy.typing import NDArray

    Parts = Callable[[NDArray[np.bool_]], Iterator[tuple[slice, pa.Array]]]

#: Words that an edited copy has in common with its twin, so that a row of 8 words may have one replaced. Of 5,599
#: held-out reviews (English and Chinese, nothing planted) 12 have a row of train with 4 to 6 words in common, and 11 of
#: these are strangers ("breakfast is rather poor"); with 7 or more 4 have one, and 3 of these are copies. Of 3,948
#: definitions, many of one pattern ("the act of buying something"), it is 137 and 39.
LEAST_COMMON = 7

#: Longer rows are found as similar ones: with one of 65 words replaced the similarity is 0.85. Nor is a row of more
#: bytes looked at: of 384,000 documents, of which a tenth is that short, the search took 0.05 s of CPU, and 0.95 when
#: the first 128 words of all were read.
MOST_WORDS = 64
MOST_BYTES = 512

#: The first words of a row of train that are read, which every row has that is looked at. If one at most is taken out,
#: the others are what a copy begins with, too. Of 17,000 short rows of documentation 2,200 begin as one of 780 that are
#: held out; to go through train takes 19 ms, 24 with five words, and 49 where every row is read to its end.
_FIRST_WORDS = LEAST_COMMON

#: Keys of held-out rows looked for at a time: to make their table takes 95 MB. More take another round over train.
_KEYS_HELD = 1 << 20

# The place of a word in its row: words are added up, each times a power of an odd number, modulo 2^64. Divided by that
# number, words move one place to the front.
_PLACE = np.uint64(0x9E3779B97F4A7C15)
_BACK = np.uint64(pow(0x9E3779B97F4A7C15, -1, 1 << 64))
_MIX = np.uint64(0xFF51AFD7ED558CCD)  # the multiplier of MurmurHash3's 64-bit finalizer


@dataclass(frozen=True)
class Edited:
    """The M held-out rows that have an edited copy in train, ascending."""

    row: NDArray[np.int64]
    """(M,)"""
    twin: NDArray[np.int64]
    """(M,) the first row of train that is one."""
    similarity: NDArray[np.float32]
    """(M,) the share of the longer one's words that both have."""

    def __len__(self) -> int:
        return len(self.row)


@nb.njit(inline="always")
def _mixed(h):  # type: ignore[no-untyped-def]
    h = (h ^ (h >> np.uint64(32))) * _MIX
    return h ^ (h >> np.uint64(29))


@nb.njit(nogil=True, cache=True)
def _write_keys(held, count, keys):  # type: ignore[no-untyped-def]
    """Write the hash of `count` words (0: they are too few), then without each; returns how many are there.

    Of equal words side by side only the first is left out: the others leave the same words.
    """
    power, whole = np.uint64(1), np.uint64(0)
    for word in held[:count]:
        whole += word * power
        power *= _PLACE
    keys[0] = max(_mixed(whole), np.uint64(1)) if count >= LEAST_COMMON else np.uint64(0)
    if count <= LEAST_COMMON:
        return 1
    num_keys, before, power = 1, np.uint64(0), np.uint64(1)
    for i in range(count):
        upto = before + held[i] * power
        if i == 0 or held[i] != held[i - 1]:
            keys[num_keys] = max(_mixed(before + (whole - upto) * _BACK), np.uint64(1))
            num_keys += 1
        before = upto
        power *= _PLACE
    return num_keys


@nb.njit(nogil=True, cache=True)
def _write_beginnings(held, beginnings):  # type: ignore[no-untyped-def]
    """Write the hash of the first words without each of them."""
    for left_out in range(_FIRST_WORDS):
        h, power = np.uint64(0), np.uint64(1)
        for i in range(_FIRST_WORDS):
            if i != left_out:
                h += held[i] * power
                power *= _PLACE
        beginnings[left_out] = _mixed(h)


@nb.njit(nogil=True, cache=True)
def _keys_of(data, offsets, is_asked, tables):  # type: ignore[no-untyped-def]
    """(keys, their rows, beginnings, words of each row) of the rows that are asked for among N; 0 words: no keys."""
    rows = len(offsets) - 1
    num_words = np.zeros(rows, np.int32)
    most = 0
    for row in range(rows):
        if is_asked[row]:  # a word takes two bytes, but for the last
            most += min(offsets[row + 1] - offsets[row], np.int64(2 * MOST_WORDS)) // 2 + 2
    keys, owners = np.empty(most, np.uint64), np.empty(most, np.int32)
    beginnings = np.empty((rows, _FIRST_WORDS), np.uint64)
    held, own = np.empty(MOST_WORDS + 4, np.uint64), np.empty(MOST_WORDS + 1, np.uint64)
    k = 0
    for row in range(rows):
        if not is_asked[row] or offsets[row + 1] - offsets[row] > MOST_BYTES:
            continue
        _, count = hash_words(data, offsets[row], offsets[row + 1], held, 0, tables)
        if count < LEAST_COMMON or count > MOST_WORDS:
            continue
        num_words[row] = count
        _write_beginnings(held, beginnings[row])
        num_keys = _write_keys(held, count, own)
        keys[k : k + num_keys] = own[:num_keys]
        owners[k : k + num_keys] = row
        k += num_keys
    return keys[:k], owners[:k], beginnings, num_words


@nb.njit(nogil=True, cache=True)
def _search(data, offsets, first_row, is_train, tables, begins, table, holders, starts, num_words, state):  # type: ignore[no-untyped-def]
    """Look each row of train up. `state` holds, for each asked row, the first row found and how near it is; and for
    each key whether it was found: all its holders have a twin then, and needn't be gone through again.
    """
    twin, similarity, is_found = state
    held, own = np.empty(MOST_WORDS + 4, np.uint64), np.empty(MOST_WORDS + 1, np.uint64)
    beginnings = np.empty(_FIRST_WORDS, np.uint64)
    for row in range(len(offsets) - 1):
        if not is_train[row] or offsets[row + 1] - offsets[row] > MOST_BYTES:
            continue
        read, count = hash_words(data, offsets[row], offsets[row + 1], held[: _FIRST_WORDS + 1], 0, tables)
        if count < _FIRST_WORDS:
            continue
        _write_beginnings(held, beginnings)
        is_near = False
        for key in beginnings:
            is_near |= find(begins, key) >= 0
        if not is_near:
            continue
        _, count = hash_words(data, read, offsets[row + 1], held, count, tables)
        if count < LEAST_COMMON or count > MOST_WORDS:
            continue
        for i in range(_write_keys(held, count, own)):
            place = find(table, own[i])
            if place < 0 or is_found[place]:
                continue
            is_found[place] = True
            common = count if i == 0 else count - 1
            for asked in holders[starts[place] : starts[place + 1]]:
                if twin[asked] < 0:
                    twin[asked] = first_row + row
                    similarity[asked] = common / max(count, num_words[asked])


class _Asked:
    """Held-out rows, gathered until there are enough of them to go through train."""

    def __init__(self) -> None:
        self.keys: list[NDArray[np.uint64]] = []
        self.owners: list[NDArray[np.int32]] = []
        self.beginnings: list[NDArray[np.uint64]] = []
        self.rows: list[NDArray[np.int64]] = []
        self.num_words: list[NDArray[np.int32]] = []
        self.num_keys = self.num_rows = 0

    def add(self, place: slice, texts: pa.Array, is_asked: NDArray[np.bool_]) -> None:
        """Those of some consecutive rows that are asked for."""
        keys, owners, beginnings, num_words = _keys_of(*text_buffers(texts), is_asked, word_tables())
        number = (np.cumsum(num_words > 0) - 1 + self.num_rows).astype(np.int32)
        self.keys.append(keys)
        self.owners.append(number[owners])
        self.beginnings.append(beginnings[num_words > 0].ravel())
        self.rows.append(np.flatnonzero(num_words) + place.start)
        self.num_words.append(num_words[num_words > 0])
        self.num_keys += len(keys)
        self.num_rows += len(self.rows[-1])

    def search(self, parts: Parts, is_train: NDArray[np.bool_]) -> Edited:
        """Those that have an edited copy."""
        keys, owners = np.concatenate(self.keys or [np.zeros(0, np.uint64)]), self.owners
        self.keys, self.owners = [], []
        order = np.argsort(keys)
        holders, keys = np.concatenate(owners or [np.zeros(0, np.int32)])[order], keys[order]
        starts = np.flatnonzero(np.concatenate([[True], keys[1:] != keys[:-1]])[: len(keys)])
        begins = lookup(distinct(np.concatenate([np.zeros(0, np.uint64), *self.beginnings])))
        table, starts = lookup(keys[starts]), np.append(starts, len(keys))
        num_words = np.concatenate([np.zeros(0, np.int32), *self.num_words])
        twin, similarity = np.full(self.num_rows, -1, np.int64), np.zeros(self.num_rows, np.float32)
        state = (twin, similarity, np.zeros(len(table.keys), np.bool_))
        for place, texts in parts(is_train) if self.num_rows else ():
            data, offsets = text_buffers(texts)
            own = (data, offsets, place.start, is_train[place])
            _search(*own, word_tables(), begins, table, holders, starts, num_words, state)
        found = np.flatnonzero(twin >= 0)
        rows = np.concatenate([np.zeros(0, np.int64), *self.rows])
        return Edited(rows[found], twin[found], similarity[found])


def edited(parts: Parts, is_train: NDArray[np.bool_], is_asked: NDArray[np.bool_]) -> Edited:
    """The rows asked for that have an edited copy in train; see the top of this page for what that is.

    The result doesn't depend on how rows are cut into parts. Time: linear in the words of rows of at most
    `MOST_WORDS`, train's once for each million words of held-out rows. Two texts have the same hash by chance with
    probability 2^-54.

    Args:
        parts: Given a mask (N,), goes in reading order through parts of all N rows, those without a row of the mask
            left out: (their numbers, their texts (string)).
        is_train: (N,) which rows train holds.
        is_asked: (N,) which rows are held out.
    """
    found = []
    asked = _Asked()
    for place, texts in parts(is_asked):
        asked.add(place, texts, is_asked[place])
        if asked.num_keys >= _KEYS_HELD:
            found.append(asked.search(parts, is_train))
            asked = _Asked()
    found.append(asked.search(parts, is_train))
    return Edited(
        np.concatenate([one.row for one in found]),
        np.concatenate([one.twin for one in found]),
        np.concatenate([one.similarity for one in found]),
    )
