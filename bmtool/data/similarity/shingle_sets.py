"""The exact Jaccard similarity of pairs of texts: both sets of word 5-grams are made and compared."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from bmtool.data.compiled import nb
from bmtool.data.similarity.shingles import SHINGLE, WORDS_HELD, hash_words, shingle, short_shingle, word_tables
from bmtool.data.text.documents import text_buffers

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

#: Rows whose texts are asked for at a time.
_ROWS_HELD = 512


@nb.njit(nogil=True, cache=True)
def _shingles(data, offsets, tables):  # type: ignore[no-untyped-def]
    """(hashes, starts (N + 1,)): the shingles of N texts in order, repeated ones too."""
    starts = np.zeros(len(offsets), np.int64)
    hashes = np.empty(len(data) // 2 + len(offsets), np.uint64)  # a word takes two bytes, but for the last
    held = np.empty(WORDS_HELD, np.uint64)
    k = 0
    for row in range(len(offsets) - 1):
        i, end, kept, start = offsets[row], offsets[row + 1], 0, k
        while i < end:
            i, count = hash_words(data, i, end, held, kept, tables)
            for j in range(count - SHINGLE + 1):
                hashes[k] = shingle(held[j], held[j + 1], held[j + 2], held[j + 3], held[j + 4])
                k += 1
            kept = min(count, SHINGLE - 1)
            for j in range(kept):
                held[j] = held[count - kept + j]
        if kept > 0 and k == start:
            hashes[k] = short_shingle(held, kept)
            k += 1
        starts[row + 1] = k
    return hashes[:k], starts


def shingles(data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """(hashes, starts (N + 1,)): 64 bits for each shingle of N texts, in order, repeated ones too.

    A text of 1 to 4 words is one shingle; one without words has none.
    """
    result: tuple[NDArray[np.uint64], NDArray[np.int64]] = _shingles(data, offsets, word_tables())
    return result


@nb.njit(inline="always")
def _place(table, key):  # type: ignore[no-untyped-def]
    """Where `key` is in an open-addressing table, or the free (0) place for it."""
    last = np.uint64(len(table) - 1)
    place = key & last
    while table[place] != 0 and table[place] != key:
        place = (place + np.uint64(1)) & last
    return place


@nb.njit(nogil=True, cache=True)
def _sets(hashes, starts):  # type: ignore[no-untyped-def]
    """Each row's distinct hashes, moved to its start in `hashes`: (how many, tables, each row's start in `tables`)."""
    rows = len(starts) - 1
    sizes = np.zeros(rows, np.int64)
    table_starts = np.zeros(rows + 1, np.int64)
    for row in range(rows):
        places = 16
        while places < 2 * (starts[row + 1] - starts[row]):
            places *= 2
        table_starts[row + 1] = table_starts[row] + places
    tables = np.zeros(table_starts[rows], np.uint64)
    for row in range(rows):
        table = tables[table_starts[row] : table_starts[row + 1]]
        for i in range(starts[row], starts[row + 1]):
            key = max(hashes[i], np.uint64(1))  # 0 means free
            place = _place(table, key)
            if table[place] == 0:
                table[place] = key
                hashes[starts[row] + sizes[row]] = key
                sizes[row] += 1
    return sizes, tables, table_starts


@nb.njit(nogil=True, cache=True)
def _jaccard(hashes, starts, first, second, threshold):  # type: ignore[no-untyped-def]
    """Similarities of pairs; 0 where the sizes alone say that it is below the threshold."""
    similarity = np.zeros(len(first), np.float32)
    sizes, tables, table_starts = _sets(hashes, starts)
    for pair in range(len(first)):
        a, b = first[pair], second[pair]
        if sizes[a] < sizes[b]:  # look the smaller one up in the larger
            a, b = b, a
        if sizes[b] < threshold * sizes[a] - 1e-9:
            continue
        table = tables[table_starts[a] : table_starts[a + 1]]
        shared = 0
        for key in hashes[starts[b] : starts[b] + sizes[b]]:
            shared += table[_place(table, key)] != 0
        if shared > 0:
            similarity[pair] = shared / (sizes[a] + sizes[b] - shared)
    return similarity


@nb.njit(nogil=True, cache=True)
def _group_borders(first, second, rows_held, group_of):  # type: ignore[no-untyped-def]
    """Borders of runs of pairs with at most `rows_held` different rows; `group_of` (all rows) is -1 everywhere."""
    borders = [0]
    group, rows = 0, 0
    for pair in range(len(first)):
        new = (group_of[first[pair]] != group) + (group_of[second[pair]] != group)
        if rows + new > rows_held:
            borders.append(pair)
            group += 1
            rows = 2
        else:
            rows += new
        group_of[first[pair]] = group
        group_of[second[pair]] = group
    borders.append(len(first))
    return borders


def exact_similarity(
    first: NDArray[Any],
    second: NDArray[Any],
    texts: Callable[[NDArray[np.int64]], Any],
    *,
    threshold: float,
) -> NDArray[np.float32]:
    """(P,) Jaccard similarity of P pairs of rows; 0 where one set is too small for the threshold to be reached.

    `texts` gives at most 512 ascending rows' texts. Order pairs so that those of a row are near each other: its text
    is asked for once for each run of pairs with 512 rows. Exact but for shingles that collide in 64 bits: in two sets
    of 10,000 some do with probability 10^-11.
    """
    similarity = np.zeros(len(first), np.float32)
    if not len(first):
        return similarity
    borders = _group_borders(first, second, _ROWS_HELD, np.full(max(first.max(), second.max()) + 1, -1, np.int32))
    for start, end in pairwise(borders):
        both = np.concatenate([first[start:end], second[start:end]]).astype(np.int64)
        rows, places = np.unique(both, return_inverse=True)
        hashes, starts = shingles(*text_buffers(texts(rows)))
        half = end - start
        similarity[start:end] = _jaccard(hashes, starts, places[:half], places[half:], threshold)
    return similarity
