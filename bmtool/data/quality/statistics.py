"""Measures the quality of documents in one pass: the numbers behind the Gopher, C4 and FineWeb filters.

What is measured doesn't depend on any threshold, so that all filters share one pass (`Documents.shared(measure)`), and
a changed threshold needs no new definition.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from bmtool.data.quality import kernel
from bmtool.data.quality.segments import memo

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bmtool.data.documents import Documents
    from bmtool.data.quality.segments import Memo, Segments

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


@dataclass(frozen=True)
class Statistics:
    """Numbers of N documents. Words and marks are spaCy's English tokens (`bmtool.data.quality.tokens`).

    A ratio whose denominator is 0 is 0.
    """

    is_unspaced: NDArray[np.bool_]
    """(N,) whether most words are characters of scripts without spaces"""
    has_no_full_stop: NDArray[np.bool_]
    """(N,) whether most words are characters of Thai or Lao, which have no mark that ends a sentence"""
    chars: NDArray[np.float64]
    words: NDArray[np.float64]
    """(N,) tokens that aren't symbols only"""
    mean_word_chars: NDArray[np.float64]
    hash_ratio: NDArray[np.float64]
    """(N,) `#` a token"""
    ellipsis_ratio: NDArray[np.float64]
    alpha_ratio: NDArray[np.float64]
    """(N,) the share of tokens with a letter"""
    stop_words: NDArray[np.float64]
    """(N,) how many different ones of the eight English stop words there are"""
    bullet_ratio: NDArray[np.float64]
    """(N,) the share of lines that start with a bullet"""
    ellipsis_line_ratio: NDArray[np.float64]
    sentences: NDArray[np.float64]
    """(N,) sentences in lines that C4 keeps"""
    has_lorem_ipsum: NDArray[np.bool_]
    has_curly_bracket: NDArray[np.bool_]
    """(N,) whether a line that ends well and has three words or more holds `{`"""
    lines: NDArray[np.float64]
    """(N,) that aren't blank"""
    terminal_line_ratio: NDArray[np.float64]
    short_line_ratio: NDArray[np.float64]
    """(N,) the share of lines of at most 30 characters; in scripts without spaces Han and kana count twice"""
    duplicate_full_line_char_ratio: NDArray[np.float64]
    """(N,) characters in repeated lines that aren't blank, of all but line feeds"""
    newline_ratio: NDArray[np.float64]
    """(N,) line feeds a token"""
    duplicate_line_ratio: NDArray[np.float64]
    duplicate_line_char_ratio: NDArray[np.float64]
    duplicate_paragraph_ratio: NDArray[np.float64]
    duplicate_paragraph_char_ratio: NDArray[np.float64]
    top_gram_char_ratio: NDArray[np.float64]
    """(N, 3) the share of characters in the most frequent 2-, 3-, 4-gram"""
    duplicate_gram_char_ratio: NDArray[np.float64]
    """(N, 6) the share of characters in repeated 5- to 10-grams"""


def _statistics(numbers: NDArray[np.float64]) -> Statistics:
    def ratio(count: int, total: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.divide(numbers[:, count], total, out=np.zeros(len(numbers)), where=total > 0)

    k = kernel
    chars, tokens, words, lines = (numbers[:, column] for column in (k.CHARS, k.TOKENS, k.WORDS, k.FULL_LINES))
    all_lines, paragraphs, pieces = numbers[:, k.LINES], numbers[:, k.PARAGRAPHS], numbers[:, k.PIECES]
    return Statistics(
        is_unspaced=numbers[:, k.UNSPACED] * 2 > words,
        has_no_full_stop=numbers[:, k.UNSTOPPED] * 2 > words,
        chars=chars,
        words=words,
        mean_word_chars=ratio(k.WORD_CHARS, words),
        hash_ratio=ratio(k.HASHES, tokens),
        ellipsis_ratio=ratio(k.ELLIPSES, tokens),
        alpha_ratio=ratio(k.ALPHA, tokens),
        stop_words=numbers[:, k.STOP_WORDS],
        bullet_ratio=ratio(k.BULLETS, pieces),
        ellipsis_line_ratio=ratio(k.ELLIPSIS_LINES, pieces),
        sentences=numbers[:, k.SENTENCES],
        has_lorem_ipsum=numbers[:, k.LOREM_IPSUM] > 0,
        has_curly_bracket=numbers[:, k.CURLY_BRACKET] > 0,
        lines=lines,
        terminal_line_ratio=ratio(k.TERMINAL_LINES, lines),
        short_line_ratio=ratio(k.SHORT_LINES, lines),
        duplicate_full_line_char_ratio=ratio(k.DUPLICATE_FULL_LINE_CHARS, chars - numbers[:, k.NEWLINES]),
        newline_ratio=ratio(k.NEWLINES, tokens),
        duplicate_line_ratio=ratio(k.DUPLICATE_LINES, all_lines),
        duplicate_line_char_ratio=ratio(k.DUPLICATE_LINE_CHARS, chars),
        duplicate_paragraph_ratio=ratio(k.DUPLICATE_PARAGRAPHS, paragraphs),
        duplicate_paragraph_char_ratio=ratio(k.DUPLICATE_PARAGRAPH_CHARS, chars),
        top_gram_char_ratio=np.stack([ratio(k.TOP_GRAMS + n, chars) for n in range(3)], axis=1),
        duplicate_gram_char_ratio=np.stack([ratio(k.DUPLICATE_GRAMS + n, chars) for n in range(6)], axis=1),
    )


class _WorkSpace(threading.local):
    """Arrays that one thread uses again and again; they grow to the longest document."""

    def __init__(self) -> None:
        self.seen = kernel.Seen(np.zeros(1 << 12, np.uint64), np.zeros(1 << 12, np.int32), np.zeros(1, np.int64))
        self.room = _room(1 << 12)

    def fit(self, num_tokens: int, num_entries: int, num_documents: int) -> None:
        """Make room for the longest document's tokens and set entries, and for so many documents' epochs."""
        if num_tokens >= len(self.room.hashes):
            self.room = _room(num_tokens * 5 // 4)
        size = 1 << (2 * num_entries).bit_length()
        if size > len(self.seen.keys):
            self.seen = kernel.Seen(np.zeros(size, np.uint64), np.zeros(size, np.int32), np.zeros(1, np.int64))
        if self.seen.epoch[0] + 11 * num_documents > _MAX_EPOCH:  # two sets for lines and paragraphs, nine for n-grams
            self.seen.keys[:] = 0
            self.seen.epoch[0] = 0


def _room(num_tokens: int) -> kernel.Room:
    size = num_tokens + 1
    longs = [np.empty(size, np.int64) for _ in range(3)]
    return kernel.Room(np.empty(size, np.uint64), longs[0], np.empty(size, np.uint64), longs[1], longs[2])


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
    kernel.judge_clean_lines(clean, offsets, waiting[:, 2], segments, known.arrays, _phrases(), numbers)


def _measure_group(data: NDArray[np.uint8], offsets: NDArray[np.int64], known: Memo) -> NDArray[np.float64]:
    num_documents = len(offsets) - 1
    numbers = np.zeros((num_documents, kernel.NUM_COLUMNS))
    segments: Segments = known.segments(data, offsets)
    kernel.count_words(segments.firsts, segments.rows, known.arrays.rows, numbers)
    tokens = int(numbers[:, kernel.TOKENS].max(initial=0))
    entries = max(tokens, int(segments.newlines.max(initial=0)) + 1)
    _WORK_SPACE.fit(tokens, entries, num_documents)
    seen, room, phrases = _WORK_SPACE.seen, _WORK_SPACE.room, _phrases()
    waiting = np.empty((len(segments.rows) // kernel.MIN_LINE_WORDS + 1, 3), np.int64)
    num_waiting = kernel.measure_documents(
        data, offsets, segments, known.arrays, seen, room, phrases, kernel.gram_keys(), waiting, numbers
    )
    if num_waiting:
        _judge_cited(data, waiting[:num_waiting], known, numbers)
    return numbers


def measure_texts(data: NDArray[np.uint8], offsets: NDArray[np.int64], known: Memo) -> Statistics:
    """The numbers of N texts, given as `bmtool.data.documents.text_buffers` gives them, with the help of a memo."""
    numbers = np.zeros((len(offsets) - 1, kernel.NUM_COLUMNS))
    first = 0
    while first < len(numbers):
        end = max(first + 1, int(np.searchsorted(offsets, offsets[first] + _GROUP_BYTES, side="right")) - 1)
        with known.lock:
            numbers[first:end] = _measure_group(data, offsets[first : end + 1], known)
            known.trim()
        first = end
    return _statistics(numbers)


def measure(documents: Documents) -> Statistics:
    """The numbers of each document, with the memo of this process; call it through `documents.shared(measure)`."""
    return measure_texts(documents.bytes, documents.offsets, memo())


__all__ = ["Statistics", "measure", "measure_texts"]
