"""What is known of a segment: the row that a memo keeps for it."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Raised when a segment is described otherwise than before; a saved memo of another version is refused.
VERSION = f"1, Unicode {unicodedata.unidata_version}"

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
OPENS_NOTE = 1 << 14  # a full stop and then a full-width bracket: Chinese papers name their source behind the text
CLOSES_NOTE = 1 << 15
STOP_WORD = 16  # the first of eight bits
IS_WORD = 1 << 24  # one token, a word with a letter, and nothing besides; all else of it is in its brief

#: A brief is a segment's flags, and above them how many characters it has.
CHARS = 32
FLAGS = (1 << CHARS) - 1

#: One segment, 64 bytes. `text`, `size`: its bytes; `first`, `tokens`: where its tokens are, how many.
ROW = np.dtype(
    [
        ("hash", np.uint64),
        ("text", np.int64),
        ("first", np.int32),
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
    ],
    align=True,
)

NUM_ROWS, NUM_BYTES, NUM_TOKENS, NUM_DESCRIBED = 0, 1, 2, 3  # places in `Arrays.counts`


class Arrays(NamedTuple):
    """The memo as kernels see it."""

    slots: NDArray[np.uint64]
    """(2^m, 2) open addressing: a segment's hash; its check and its row (see `bmtool.data.quality.memo`)"""
    rows: NDArray[np.void]
    briefs: NDArray[np.int64]
    """what most rows are asked for, close together"""
    uses: NDArray[np.int32]
    """how often each row was looked up"""
    text: NDArray[np.uint8]
    token_hashes: NDArray[np.uint64]
    token_chars: NDArray[np.int32]
    counts: NDArray[np.int64]
    """how many rows, bytes of text and tokens there are, and how many rows are described"""
