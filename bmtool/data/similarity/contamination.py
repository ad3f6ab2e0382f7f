"""Find texts that give away rows of a test set: copies, edited copies, and long passages.

A document counts as contaminated by a test row if

- both have a run of 13 words in common (the rule of GPT-3, Brown et al. 2020, appendix C), or
- it holds at least half of the row's different runs of 5 words, so that edited rows are found; of rows of 8 to 14
  words all of them, since half is a common phrase, or
- it is the row but for one word (changed, added, left out); of rows of 5 to 14 words, or
- it has the same words as the row; of rows of fewer than 8 words.

A run of 5 words that more than 1,000 rows hold isn't counted: it is a phrase of the test set.

Words are those of `bmtool.data.text.words`, in lower case; a Chinese character is a word. Runs are known by 64-bit
hashes: in ten thousand million words, against ten million runs, one is taken for another with probability 0.5 %, and
one alone makes no document contaminated.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from bmtool.data.compiled import nb
from bmtool.data.similarity.known_runs import (
    LEAST_SHARE,
    LONG_RUN,
    LONG_STEPS,
    ONE_WORD_OFF,
    Index,
    index_of,
    keys_of,
    long_run,
    whole,
)
from bmtool.data.similarity.lookup import find
from bmtool.data.similarity.shingles import SHINGLE, WORDS_HELD, hash_words, shingle, word_tables

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

SAME_WORDS, ONE_WORD, SHARE, RUN = 1, 2, 3, 4

#: What `Hits.rule` means.
RULES = ("", "same words", "one word off", "runs of 5 words", "13 words in a row")


@dataclass(frozen=True)
class TestRows:
    """Some rows of a test set."""

    __test__ = False  # pytest, this isn't a class of tests

    name: str
    """Of the test set."""
    texts: pa.Array
    """(N,) strings without nulls."""
    ids: pa.Array
    """(N,) strings."""


@dataclass(frozen=True)
class Hits:
    """What was found in N documents."""

    row: NDArray[np.int64]
    """(N,) the test row, as an index into `Contamination.ids`; -1: the document is clean. Of several rows that one of
    which the largest share was found, the first of equals."""
    test_set: NDArray[np.int16]
    """(N,) its test set, as an index into `Contamination.names`; -1 likewise."""
    rule: NDArray[np.uint8]
    """(N,) why, as an index into `RULES`."""
    share: NDArray[np.float32]
    """(N,) the share of the row's different runs of 5 words that the document holds; by the rules for short rows, the
    share of its words."""


@nb.njit(nogil=True, cache=True)
def _best_row(places, index, counts, touched, share, long_row):  # type: ignore[no-untyped-def]
    """The row of which the largest share is there; -1: none with half of it, and no run of 13 words of `long_row`.

    `counts` (rows,) is zero before and after; `share` (1,) is set.
    """
    num_touched = 0
    places.sort()
    for i in range(len(places)):
        if i > 0 and places[i] == places[i - 1]:
            continue
        for at in range(index.holder_starts[places[i]], index.holder_starts[places[i] + 1]):
            other = index.holders[at]
            if counts[other] == 0:
                touched[num_touched] = other
                num_touched += 1
            counts[other] += 1
    best = long_row
    if best >= 0:
        share[0] = counts[best] / max(1, index.num_runs[best])
    for other in touched[:num_touched]:
        part = np.float32(counts[other] / index.num_runs[other])
        least = LEAST_SHARE if index.num_words[other] > ONE_WORD_OFF[1] else 1.0
        if part >= least and (part > share[0] or (part == share[0] and (best < 0 or other < best))):
            best, share[0] = other, part
    counts[touched[:num_touched]] = 0
    return best


@nb.njit(nogil=True, cache=True)
def _short_row(words, index):  # type: ignore[no-untyped-def]
    """(row, rule, share) of a short row that is the document of these words, but for one word at most; (-1, 0, 0)."""
    for skipped in range(-1, len(words)):
        place = find(index.wholes, whole(words, len(words), skipped))
        if place < 0:
            continue
        row = index.whole_rows[place]
        if skipped < 0 and index.num_words[row] == len(words):
            return row, SAME_WORDS, np.float32(1)
        if index.num_words[row] >= ONE_WORD_OFF[0]:
            return row, ONE_WORD, np.float32(1 - 1 / index.num_words[row])
    return -1, 0, np.float32(0)


@nb.njit(nogil=True, cache=True)
def _hits(data, offsets, tables, index):  # type: ignore[no-untyped-def]
    """One pass over each document's words, and what it ends in; longer than a screen, since it is one loop."""
    rows = len(offsets) - 1
    found_row = np.full(rows, -1, np.int64)
    rule = np.zeros(rows, np.uint8)
    share = np.zeros(rows, np.float32)
    counts = np.zeros(len(index.num_runs), np.int32)
    touched = np.empty(len(index.num_runs), np.int32)
    held = np.empty(WORDS_HELD, np.uint64)
    hashes = np.empty(WORDS_HELD, np.uint64)
    places = np.empty(1024, np.int64)
    for row in range(rows):
        i, end, kept, num_words, num_places, long_row = offsets[row], offsets[row + 1], 0, 0, 0, -1
        in_row = 0  # how many runs of 5 that end here, one behind the other, are known
        while i < end:
            i, count = hash_words(data, i, end, held, kept, tables)
            num_words += count - kept
            # The last 8 runs of the chunk before are made again, for runs of 13 words that reach back to them.
            fresh = max(0, kept - SHINGLE + 1)
            for j in range(count - SHINGLE + 1):
                key = shingle(held[j], held[j + 1], held[j + 2], held[j + 3], held[j + 4])
                hashes[j] = key
                if j < fresh:
                    continue
                place = find(index.runs, key)
                if place < 0:
                    in_row = 0
                    continue
                if num_places == len(places):
                    places = np.concatenate((places, np.empty(len(places), np.int64)))
                places[num_places] = place
                num_places += 1
                in_row += 1
                if in_row > LONG_STEPS and long_row < 0:
                    long = long_run(hashes[j - 8], hashes[j - 4], key)
                    at = find(index.long_runs, long)
                    if at >= 0:
                        long_row = index.long_rows[at]
            if i < end:
                kept = min(count, LONG_RUN - 1)
                for j in range(kept):
                    held[j] = held[count - kept + j]
        if num_places > 0:
            best = _best_row(places[:num_places], index, counts, touched, share[row : row + 1], long_row)
            if best >= 0:
                found_row[row], rule[row] = best, SHARE if long_row < 0 else RUN
        if found_row[row] < 0 and 0 < num_words <= ONE_WORD_OFF[1] + 1:
            found_row[row], rule[row], share[row] = _short_row(held[:num_words], index)
    return found_row, rule, share


class Contamination:
    """Rows of test sets, ready to be found in texts: about 55 bytes for each of their words."""

    def __init__(self, names: tuple[str, ...], set_of: NDArray[np.int16], ids: pa.Array, index: Index) -> None:
        self.names = names
        self.set_of = set_of
        """(rows,) the test set of each row, as an index into `names`."""
        self.ids = ids
        """(rows,) the id of each row."""
        self._index = index

    @classmethod
    def of(cls, batches: Iterable[TestRows]) -> Contamination:
        """The rows of all batches; a test set's may come in several. Rows without words are never found."""
        names: dict[str, int] = {}
        sets, ids, parts = [], [], []
        num_rows = 0
        for batch in batches:
            number = names.setdefault(batch.name, len(names))
            sets.append(np.full(len(batch.texts), number, np.int16))
            ids.append(batch.ids)
            parts.append(keys_of(batch.texts, num_rows))
            num_rows += len(batch.texts)
        set_of = np.concatenate([np.zeros(0, np.int16), *sets])
        all_ids = pa.concat_arrays([pa.array([], pa.string()), *(part.cast(pa.string()) for part in ids)])
        return cls(tuple(names), set_of, all_ids, index_of(parts))

    def hits(self, data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> Hits:
        """What is found in N documents, given as `bmtool.data.text.documents.text_buffers` gives them."""
        if not len(self.set_of):
            rows = len(offsets) - 1
            row, rule, share = np.full(rows, -1, np.int64), np.zeros(rows, np.uint8), np.zeros(rows, np.float32)
        else:
            row, rule, share = _hits(data, offsets, word_tables(), self._index)
        test_set = np.full(len(row), -1, np.int16)
        test_set[row >= 0] = self.set_of[row[row >= 0]]
        return Hits(row, test_set, rule, share)
