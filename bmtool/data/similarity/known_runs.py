"""The runs of words of test rows, as hashes ready to be looked up: what contamination is searched with."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bmtool.data.compiled import nb
from bmtool.data.similarity.lookup import Lookup, lookup
from bmtool.data.similarity.shingle_sets import shingles
from bmtool.data.similarity.shingles import SHINGLE, hash_words, word_tables
from bmtool.data.text.documents import text_buffers

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

#: Words of the long run.
LONG_RUN = 13

#: The share of a row's runs of five words that must be there, of rows with more than ONE_WORD_OFF words.
LEAST_SHARE = 0.5

#: Rows with fewer words aren't found inside a longer text.
FEWEST_WORDS = 8

#: Rows with so many words are found in texts that differ in one word; longer ones keep half of their runs then.
ONE_WORD_OFF = (5, 14)

#: A run of 13 words is 9 runs of 5, one behind the other; the 1st, 5th and 9th hold all its words.
LONG_STEPS = LONG_RUN - SHINGLE


#: A run of 5 words that more rows hold is a phrase of the test set (an instruction, a form). It counts for no row's
#: share, else a text that holds it would be held against all of them.
MOST_HOLDERS = 1000


class Index(NamedTuple):
    """What documents are looked up in. Rows are all test rows, in the order in which they came."""

    runs: Lookup
    """Runs of 5 words."""
    holders: NDArray[np.int32]
    """The rows that hold the first run, those that hold the second, ...; none for a run of more than MOST_HOLDERS."""
    holder_starts: NDArray[np.int64]
    num_runs: NDArray[np.int32]
    """(rows,) different runs of 5 words of each that count; 0 for short rows."""
    long_runs: Lookup
    long_rows: NDArray[np.int32]
    """The first row that holds each run of 13 words."""
    wholes: Lookup
    """Short rows, whole and with each word left out."""
    whole_rows: NDArray[np.int32]
    num_words: NDArray[np.int32]


@nb.njit(inline="always")
def long_run(first, fifth, ninth):  # type: ignore[no-untyped-def]
    """The hash of 13 words, from those of three runs of 5 that hold them all."""
    s = first * np.uint64(0x9E3779B97F4A7C15) + fifth * np.uint64(0xD6E8FEB86659FD93) + ninth
    s = (s ^ (s >> np.uint64(32))) * np.uint64(0xFF51AFD7ED558CCD)
    return s ^ (s >> np.uint64(29))


@nb.njit(nogil=True, cache=True)
def whole(held, count, skipped):  # type: ignore[no-untyped-def]
    """The hash of all words but the one at `skipped` (-1: none)."""
    h = np.uint64(0xCBF29CE484222325)
    for i in range(count):
        if i != skipped:
            h = (h ^ held[i]) * np.uint64(0xFF51AFD7ED558CCD)
            h ^= h >> np.uint64(32)
    return h


@nb.njit(nogil=True, cache=True)
def _whole_keys(data, offsets, tables):  # type: ignore[no-untyped-def]
    """(keys, their rows, words of each row (15: or more)) of the short ones among N rows."""
    rows = len(offsets) - 1
    num_words = np.zeros(rows, np.int32)
    keys = np.empty(rows * (ONE_WORD_OFF[1] + 1), np.uint64)
    owners = np.empty(len(keys), np.int32)
    held = np.empty(ONE_WORD_OFF[1] + 4, np.uint64)
    k = 0
    for row in range(rows):
        _, count = hash_words(data, offsets[row], offsets[row + 1], held, 0, tables)
        num_words[row] = min(count, ONE_WORD_OFF[1] + 1)
        if count == 0 or count > ONE_WORD_OFF[1]:
            continue
        for skipped in range(-1, count if count >= ONE_WORD_OFF[0] else 0):
            keys[k] = whole(held, count, skipped)
            owners[k] = row
            k += 1
    return keys[:k], owners[:k], num_words


@nb.njit(nogil=True, cache=True)
def _long_keys(hashes, starts, num_words):  # type: ignore[no-untyped-def]
    """(hashes, their rows) of the runs of 13 words of N rows."""
    keys = np.empty(len(hashes), np.uint64)
    owners = np.empty(len(hashes), np.int32)
    k = 0
    for row in range(len(starts) - 1):
        if num_words[row] < LONG_RUN:
            continue
        for j in range(starts[row], starts[row + 1] - LONG_STEPS):
            keys[k] = long_run(hashes[j], hashes[j + 4], hashes[j + 8])
            owners[k] = row
            k += 1
    return keys[:k], owners[:k]


class Keys(NamedTuple):
    """What the index is made of: hashes with the rows they are from."""

    runs: NDArray[np.uint64]
    run_rows: NDArray[np.int32]
    long_runs: NDArray[np.uint64]
    long_rows: NDArray[np.int32]
    wholes: NDArray[np.uint64]
    whole_rows: NDArray[np.int32]
    num_words: NDArray[np.int32]


def keys_of(texts: pa.Array, first_row: int) -> Keys:
    """The hashes of N test rows (string), of which the first is called `first_row`."""
    data, offsets = text_buffers(texts)
    wholes, whole_rows, num_words = _whole_keys(data, offsets, word_tables())
    hashes, starts = shingles(data, offsets)
    long_runs, long_rows = _long_keys(hashes, starts, num_words)
    rows = np.repeat(np.arange(len(texts), dtype=np.int32), np.diff(starts))
    counts = num_words[rows] >= FEWEST_WORDS
    first = np.int32(first_row)
    return Keys(
        hashes[counts], rows[counts] + first, long_runs, long_rows + first, wholes, whole_rows + first, num_words
    )


def index_of(parts: Sequence[Keys]) -> Index:
    """All rows' hashes, ready to be looked up."""
    none = Keys(
        *(np.zeros(0, np.uint64), np.zeros(0, np.int32)),
        *(np.zeros(0, np.uint64), np.zeros(0, np.int32)),
        *(np.zeros(0, np.uint64), np.zeros(0, np.int32)),
        np.zeros(0, np.int32),
    )
    keys = Keys(*(np.concatenate(columns) for columns in zip(none, *parts, strict=True)))
    order = np.lexsort((keys.run_rows, keys.runs))
    runs, rows = keys.runs[order], keys.run_rows[order]
    is_new = np.concatenate([np.ones(min(1, len(runs)), bool), (runs[1:] != runs[:-1]) | (rows[1:] != rows[:-1])])
    runs, rows = runs[is_new], rows[is_new]
    distinct, num_holders = np.unique(runs, return_counts=True)
    rows = rows[np.repeat(num_holders <= MOST_HOLDERS, num_holders)]
    num_holders[num_holders > MOST_HOLDERS] = 0
    long_runs, long_first = np.unique(keys.long_runs, return_index=True)
    wholes, whole_first = np.unique(keys.wholes, return_index=True)
    return Index(
        runs=lookup(distinct),
        holders=rows,
        holder_starts=np.concatenate([np.zeros(1, np.int64), np.cumsum(num_holders)]),
        num_runs=np.bincount(rows, minlength=len(keys.num_words)).astype(np.int32),
        long_runs=lookup(long_runs),
        long_rows=keys.long_rows[long_first],
        wholes=lookup(wholes),
        whole_rows=keys.whole_rows[whole_first],
        num_words=keys.num_words,
    )
