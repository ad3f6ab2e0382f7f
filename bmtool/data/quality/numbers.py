"""The numbers of a document, as columns of an array (N, NUM_COLUMNS) that the kernels fill."""

from __future__ import annotations

from bmtool.data.quality.native import inlined

#: Tokens a word in Thai, Lao, Khmer and Myanmar, see `scale_of`.
MAX_SCALE = 4

# Columns of the numbers of a document.
(
    CHARS, TOKENS, WORDS, UNSPACED, WIDE, UNSTOPPED, WORD_CHARS, ALPHA, HASHES, ELLIPSES, STOP_WORDS,
    PIECES, BULLETS, ELLIPSIS_LINES, SENTENCES, LOREM_IPSUM, CURLY_BRACKET,
    NEWLINES, LINES, DUPLICATE_LINES, DUPLICATE_LINE_CHARS,
    FULL_LINES, TERMINAL_LINES, SHORT_LINES, DUPLICATE_FULL_LINE_CHARS,
    PARAGRAPHS, DUPLICATE_PARAGRAPHS, DUPLICATE_PARAGRAPH_CHARS,
) = range(28)  # fmt: skip
TOP_GRAMS = 28  # three columns: characters in the most frequent 2-, 3-, 4-gram
DUPLICATE_GRAMS = 31  # six: characters in repeated 5- to 10-grams
NUM_COLUMNS = 37


@inlined
def is_unspaced(numbers):  # type: ignore[no-untyped-def]
    """Whether most words of the document are characters of scripts without spaces."""
    return numbers[UNSPACED] * 2 > numbers[WORDS]


@inlined
def scale_of(numbers):  # type: ignore[no-untyped-def]
    """How many tokens of the document stand for one word: 1, or in scripts without spaces 2 (Han, kana) or 4."""
    if not is_unspaced(numbers):
        return 1
    return 2 if numbers[WIDE] * 2 >= numbers[UNSPACED] else MAX_SCALE
