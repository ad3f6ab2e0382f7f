"""Count kinds of characters in texts, in every script: letters, capitals, digits, punctuation, symbols."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bmtool.data.compiled import nb
from bmtool.data.kept_tables import kept_table
from bmtool.data.text.words import code_point

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bmtool.data.text.documents import Documents

_SPACE, _LETTER, _LOWER, _UPPER, _DIGIT, _PUNCTUATION, _SYMBOL = range(7)

#: Unicode calls these punctuation; in prose they are as rare as symbols.
_RARE_PUNCTUATION = "#*@\\_{}\u2020\u2021\u2022\u203b\u204e"

_BY_CATEGORY = {"L": _LETTER, "M": _LETTER, "N": _DIGIT, "P": _PUNCTUATION, "Z": _SPACE}
_EXACT = {"Lu": _UPPER, "Lt": _UPPER, "Ll": _LOWER, "No": _SYMBOL}


@kept_table()
def _character_classes() -> NDArray[np.uint8]:
    """(0x110000,) what each code point is; controls, private use and unassigned ones are symbols."""
    classes = np.full(0x110000, _SYMBOL, np.uint8)
    for code in range(0x20000):  # behind are Han, and tags and private use
        category = unicodedata.category(chr(code))
        classes[code] = _EXACT.get(category, _BY_CATEGORY.get(category[0], _SYMBOL))
    classes[0x20000:0x40000] = _LETTER
    classes[[ord(character) for character in _RARE_PUNCTUATION]] = _SYMBOL
    classes[[ord(character) for character in "\t\n\v\f\r\x85"]] = _SPACE
    classes[[0x200C, 0x200D]] = _LETTER  # joiners inside words
    return classes


@nb.njit(nogil=True, cache=True)
def _count(data, offsets, classes):  # type: ignore[no-untyped-def]
    counts = np.zeros((len(offsets) - 1, 7), np.int64)
    for document in range(len(offsets) - 1):
        row = counts[document]
        i, end = offsets[document], offsets[document + 1]
        while i < end:
            code, size = code_point(data, i)
            row[classes[code]] += 1
            i += size
    return counts


@dataclass(frozen=True)
class CharacterCounts:
    """Counts of N documents, each (N,)."""

    visible: NDArray[np.int64]
    """All but white space."""
    lower: NDArray[np.int64]
    upper: NDArray[np.int64]
    """Letters of scripts that have capitals; in others no letter is lower or upper."""
    letters: NDArray[np.int64]
    """Letters of any script, and their marks."""
    digits: NDArray[np.int64]
    symbols: NDArray[np.int64]
    """Neither letters, digits, white space nor punctuation that is common in prose."""


def count_characters(documents: Documents) -> CharacterCounts:
    """Count the kinds of characters of each document."""
    counts = _count(documents.bytes, documents.offsets, _character_classes()).T
    return CharacterCounts(
        visible=counts.sum(axis=0) - counts[_SPACE],
        lower=counts[_LOWER],
        upper=counts[_UPPER],
        letters=counts[_LETTER] + counts[_LOWER] + counts[_UPPER],
        digits=counts[_DIGIT],
        symbols=counts[_SYMBOL],
    )


@nb.njit(nogil=True, cache=True)
def _lines(data, offsets):  # type: ignore[no-untyped-def]
    results = np.zeros((len(offsets) - 1, 2), np.int64)
    for document in range(len(offsets) - 1):
        longest = chars = 0
        breaks = 0
        for place in range(offsets[document], offsets[document + 1]):
            byte = data[place]
            if byte == 10:
                breaks += 1
                longest = max(longest, chars)
                chars = 0
            else:
                chars += byte & 0xC0 != 0x80
        results[document, 0] = max(longest, chars)
        results[document, 1] = breaks + 1
    return results


def count_lines(documents: Documents) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """((N,) characters of the longest line, (N,) lines) of each document; a line break ends a line."""
    counts = _lines(documents.bytes, documents.offsets)
    return counts[:, 0], counts[:, 1]
