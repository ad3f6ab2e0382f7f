"""What a word is, in every script: the one rule behind shingles, filters, decontamination and counts.

A word is a run of letters, digits and the marks that belong to them. In scripts that are written without spaces (Han,
kana, Thai, Lao, Khmer, Myanmar, ...) each character is a word: with runs as words, four of five Chinese reviews would
be one word long, and almost no near-copy would be found.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from bmtool.data.compiled import nb
from bmtool.data.kept_tables import kept_table
from bmtool.data.text.scripts import UNSPACED

if TYPE_CHECKING:
    from numpy.typing import NDArray

SEPARATOR, LETTER, ALONE = 0, 1, 2


@kept_table()
def word_classes() -> NDArray[np.uint8]:
    """(0x110000,) SEPARATOR, LETTER or ALONE of each code point; pass it to kernels, it is read-only."""
    classes = np.zeros(0x110000, np.uint8)
    for code in range(0x20000):  # letters and digits of the planes behind are Han only
        character = chr(code)
        if character.isalnum() or unicodedata.category(character)[0] == "M":
            classes[code] = LETTER
    for first, last in UNSPACED:
        block = classes[first : last + 1]
        block[block == LETTER] = ALONE
    classes[0x20000:0x40000] = ALONE
    return classes


@cache
def _word_pattern() -> re.Pattern[str]:
    classes = word_classes()
    borders = np.flatnonzero(np.diff(classes)) + 1
    runs: dict[int, str] = {SEPARATOR: "", LETTER: "", ALONE: ""}
    for first, end in zip([0, *borders.tolist()], [*borders.tolist(), len(classes)], strict=True):
        runs[int(classes[first])] += f"{re.escape(chr(first))}-{re.escape(chr(end - 1))}"
    return re.compile(f"[{runs[ALONE]}]|[{runs[LETTER]}]+")


def words_of(text: str) -> list[str]:
    """The words of a text, in order and as they are written."""
    return _word_pattern().findall(text)


@kept_table()
def lower_case() -> NDArray[np.int32]:
    """(0x10000,) the lower-case code point of each in the basic plane, where that is one code point; else itself."""
    lower = np.arange(0x10000, dtype=np.int32)
    for code in range(0x10000):
        folded = chr(code).lower()
        if len(folded) == 1:
            lower[code] = ord(folded)
    return lower


@nb.njit(inline="always")
def code_point(data, i):  # type: ignore[no-untyped-def]
    """(code point, its bytes) at byte `i` of valid UTF-8."""
    x = np.int32(data[i])
    if x < 0x80:
        return x, 1
    if x < 0xE0:
        return (x & 31) << 6 | np.int32(data[i + 1] & 63), 2
    if x < 0xF0:
        return (x & 15) << 12 | np.int32(data[i + 1] & 63) << 6 | np.int32(data[i + 2] & 63), 3
    high = (x & 7) << 18 | np.int32(data[i + 1] & 63) << 12
    return high | np.int32(data[i + 2] & 63) << 6 | np.int32(data[i + 3] & 63), 4


@nb.njit(nogil=True, cache=True)
def _count(data, offsets, classes):  # type: ignore[no-untyped-def]
    counts = np.zeros(len(offsets) - 1, np.int64)
    for document in range(len(offsets) - 1):
        i, end = offsets[document], offsets[document + 1]
        inside = False
        count = 0
        while i < end:
            if data[i] < 0x80:  # ASCII: one byte, and no character of it stands alone
                letter = classes[data[i]] == LETTER
                count += letter and not inside
                inside = letter
                i += 1
                continue
            code, size = code_point(data, i)
            kind = classes[code]
            count += kind == ALONE or (kind == LETTER and not inside)
            inside = kind == LETTER
            i += size
        counts[document] = count
    return counts


def count_words(data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """(N,) words of each of N texts, given as `bmtool.data.text.documents.text_buffers` gives them."""
    counts: NDArray[np.int64] = _count(data, offsets, word_classes())
    return counts
