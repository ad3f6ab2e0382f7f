"""Measures the quality of documents in one pass: the numbers behind the Gopher, C4 and FineWeb filters.

What is measured doesn't depend on any threshold, so that all filters share one pass (`Documents.shared(measure)`), and
a changed threshold needs no new definition.
"""

from __future__ import annotations

import re
import threading
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from bmtool.data.quality.grams import Room, gram_keys
from bmtool.data.quality.kernel import count_tokens, measure_documents
from bmtool.data.quality.memo import memo
from bmtool.data.quality.numbers import NUM_COLUMNS
from bmtool.data.quality.runs import runs_of
from bmtool.data.quality.sentences import MIN_LINE_WORDS, judge_clean_lines
from bmtool.data.quality.sets import Seen
from bmtool.data.quality.statistics import Statistics, statistics_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bmtool.data.quality.memo import Memo
    from bmtool.data.text.documents import Documents

#: Documents are measured in groups of about so many bytes: their segments then fit into the processor's cache.
_GROUP_BYTES = 1 << 19
_MAX_EPOCH = (1 << 24) - 16

#: What C4 takes out of a line before it looks at its end (Wikipedia's footnotes).
_CITATION = re.compile(r"\[\d*]|\[edit]|\[citation needed]")
_PHRASES = (
    b"lorem ipsum",
    b"javascript",
    b"terms of use",
    b"privacy policy",
    b"cookie policy",
    b"uses cookies",
    b"use of cookies",
    b"use cookies",
)


class _WorkSpace(threading.local):
    """Arrays that one thread uses again and again; they grow to the longest document."""

    def __init__(self) -> None:
        self.seen = Seen(np.zeros(1 << 12, np.uint64), np.zeros(1 << 12, np.int32), np.zeros(1, np.int64))
        self.room = _room(1 << 12)
        self.runs = runs_of(1 << 12)

    def fit(self, num_tokens: int, num_entries: int, num_segments: int, num_documents: int) -> None:
        """Make room for the longest document's tokens, set entries and runs, and for so many documents' epochs."""
        if num_segments >= len(self.runs.hashes):
            self.runs = runs_of(num_segments * 5 // 4)
        if num_tokens >= len(self.room.hashes):
            self.room = _room(num_tokens * 5 // 4)
        size = 1 << (2 * num_entries).bit_length()
        if size > len(self.seen.keys):
            self.seen = Seen(np.zeros(size, np.uint64), np.zeros(size, np.int32), np.zeros(1, np.int64))
        if self.seen.epoch[0] + 11 * num_documents > _MAX_EPOCH:  # two sets for lines and paragraphs, nine for n-grams
            self.seen.keys[:] = 0
            self.seen.epoch[0] = 0


def _room(num_tokens: int) -> Room:
    size = num_tokens + 1
    hashes, places, grams = np.empty(size, np.uint64), np.empty(size, np.int64), np.empty(size, np.uint64)
    return Room(hashes, places, grams, np.empty(size, np.int32), np.empty(size, np.int32))


_WORK_SPACE = _WorkSpace()


@cache
def _phrases() -> NDArray[np.uint8]:
    """(8, 16) a phrase's length and its bytes."""
    table = np.zeros((len(_PHRASES), 16), np.uint8)
    for place, phrase in enumerate(_PHRASES):
        table[place, : len(phrase) + 1] = [len(phrase), *phrase]
    return table


def _judge_cited(data: NDArray[np.uint8], waiting: NDArray[np.int64], known: Memo, numbers: NDArray) -> None:  # type: ignore[type-arg]
    """C4 on the lines (start, end, document) that hold citations, without these."""
    lines = [_CITATION.sub("", data[start:end].tobytes().decode()).encode() for start, end, _ in waiting.tolist()]
    clean = np.frombuffer(b"".join(lines), np.uint8)
    offsets = np.cumsum([0, *map(len, lines)])
    segments = known.segments(clean, offsets)
    judge_clean_lines(clean, offsets, waiting[:, 2], segments, known.arrays, _phrases(), numbers)


def _measure_group(data: NDArray[np.uint8], offsets: NDArray[np.int64], known: Memo) -> NDArray[np.float64]:
    num_documents = len(offsets) - 1
    numbers = np.zeros((num_documents, NUM_COLUMNS))
    segments = known.segments(data, offsets)
    num_segments = int(segments.firsts[-1])
    longest = int(np.diff(offsets).max())  # no text has more tokens or line feeds than bytes
    tokens = longest if longest <= _GROUP_BYTES else count_tokens(segments, known.arrays)
    _WORK_SPACE.fit(tokens, max(tokens, int(segments.newlines.max()) + 1), num_segments, num_documents)
    seen, runs, room = _WORK_SPACE.seen, _WORK_SPACE.runs, _WORK_SPACE.room
    waiting = np.empty((num_segments // MIN_LINE_WORDS + 1, 3), np.int64)
    num_waiting = measure_documents(
        data, offsets, segments, known.arrays, seen, runs, room, _phrases(), gram_keys(), waiting, numbers
    )
    if num_waiting:
        _judge_cited(data, waiting[:num_waiting], known, numbers)
    return numbers


def measure_texts(data: NDArray[np.uint8], offsets: NDArray[np.int64], known: Memo) -> Statistics:
    """The numbers of N texts, as `bmtool.data.text.documents.text_buffers` gives them, by a memo."""
    numbers = np.zeros((len(offsets) - 1, NUM_COLUMNS))
    first = 0
    while first < len(numbers):
        end = max(first + 1, int(np.searchsorted(offsets, offsets[first] + _GROUP_BYTES, side="right")) - 1)
        with known.lock:
            numbers[first:end] = _measure_group(data, offsets[first : end + 1], known)
            known.trim()
        first = end
    return statistics_of(numbers)


def measure(documents: Documents) -> Statistics:
    """The numbers of each document, with the memo of this process; call it through `documents.shared(measure)`."""
    return measure_texts(documents.bytes, documents.offsets, memo())
