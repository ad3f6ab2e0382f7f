"""The numbers of documents that the Gopher, C4 and FineWeb filters hold against their thresholds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bmtool.data.quality import numbers as column

if TYPE_CHECKING:
    from numpy.typing import NDArray


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


def statistics_of(numbers: NDArray[np.float64]) -> Statistics:
    """Statistics from the columns (N, NUM_COLUMNS) that the kernels filled."""

    def ratio(count: int, total: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.divide(numbers[:, count], total, out=np.zeros(len(numbers)), where=total > 0)

    chars, tokens, words, lines = (
        numbers[:, place] for place in (column.CHARS, column.TOKENS, column.WORDS, column.FULL_LINES)
    )
    all_lines, paragraphs, pieces = numbers[:, column.LINES], numbers[:, column.PARAGRAPHS], numbers[:, column.PIECES]
    return Statistics(
        is_unspaced=numbers[:, column.UNSPACED] * 2 > words,
        has_no_full_stop=numbers[:, column.UNSTOPPED] * 2 > words,
        chars=chars,
        words=words,
        mean_word_chars=ratio(column.WORD_CHARS, words),
        hash_ratio=ratio(column.HASHES, tokens),
        ellipsis_ratio=ratio(column.ELLIPSES, tokens),
        alpha_ratio=ratio(column.ALPHA, tokens),
        stop_words=numbers[:, column.STOP_WORDS],
        bullet_ratio=ratio(column.BULLETS, pieces),
        ellipsis_line_ratio=ratio(column.ELLIPSIS_LINES, pieces),
        sentences=numbers[:, column.SENTENCES],
        has_lorem_ipsum=numbers[:, column.LOREM_IPSUM] > 0,
        has_curly_bracket=numbers[:, column.CURLY_BRACKET] > 0,
        lines=lines,
        terminal_line_ratio=ratio(column.TERMINAL_LINES, lines),
        short_line_ratio=ratio(column.SHORT_LINES, lines),
        duplicate_full_line_char_ratio=ratio(column.DUPLICATE_FULL_LINE_CHARS, chars - numbers[:, column.NEWLINES]),
        newline_ratio=ratio(column.NEWLINES, tokens),
        duplicate_line_ratio=ratio(column.DUPLICATE_LINES, all_lines),
        duplicate_line_char_ratio=ratio(column.DUPLICATE_LINE_CHARS, chars),
        duplicate_paragraph_ratio=ratio(column.DUPLICATE_PARAGRAPHS, paragraphs),
        duplicate_paragraph_char_ratio=ratio(column.DUPLICATE_PARAGRAPH_CHARS, chars),
        top_gram_char_ratio=np.stack([ratio(column.TOP_GRAMS + n, chars) for n in range(3)], axis=1),
        duplicate_gram_char_ratio=np.stack([ratio(column.DUPLICATE_GRAMS + n, chars) for n in range(6)], axis=1),
    )
