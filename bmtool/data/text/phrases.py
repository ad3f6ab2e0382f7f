"""Find words and phrases of a list in texts: whole words by the one rule for words, whatever their case.

Words are known by 64-bit hashes with a fixed seed, and phrases by chains of them. Nothing is verified byte by byte: who
made up a collision could but have a text of their own dropped.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from bmtool.data.compiled import nb
from bmtool.data.text.documents import text_buffers
from bmtool.data.text.words import ALONE, LETTER, code_point, lower_case, word_classes
from bmtool.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from bmtool.data.text.documents import Documents

#: FNV-1a's offset and prime for 64 bits (http://www.isthe.com/chongo/tech/comp/fnv/).
_OFFSET, _PRIME = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)

_STARTS, _ENDS = 1, 2


@nb.njit(nogil=True, cache=True)
def _word_hashes(data, start, end, classes, lower, hashes):  # type: ignore[no-untyped-def]
    """Fill `hashes` with those of the words in `data[start:end]`; return how many there are."""
    count = 0
    inside = False
    i = start
    while i < end:
        code, size = code_point(data, i)
        i += size
        kind = classes[code]
        if kind != ALONE and kind != LETTER:
            inside = False
            continue
        if kind == ALONE or not inside:
            hashes[count] = _OFFSET
            count += 1
        inside = kind == LETTER
        folded = np.uint64(lower[code] if code < 0x10000 else code)
        hashes[count - 1] = (hashes[count - 1] ^ folded) * _PRIME
    return count


@nb.njit(inline="always")
def _slot(keys, key):  # type: ignore[no-untyped-def]
    """Where `key` is in a table with a power of two of places, or the empty place (0) where it would be."""
    mask = np.uint64(len(keys) - 1)
    place = (key ^ (key >> np.uint64(32))) & mask
    while keys[place] != 0 and keys[place] != key:
        place = (place + np.uint64(1)) & mask
    return place


@nb.njit(inline="always")
def _chained(chain, word):  # type: ignore[no-untyped-def]
    return (chain * np.uint64(0x9E3779B97F4A7C15) ^ word) * _PRIME | np.uint64(1)  # never the empty key


@nb.njit(nogil=True, cache=True)
def _build(data, offsets, classes, lower, places):  # type: ignore[no-untyped-def]
    keys = np.zeros(places, np.uint64)
    marks = np.zeros(places, np.uint8)
    hashes = np.empty(len(data) + 1, np.uint64)
    for phrase in range(len(offsets) - 1):
        count = _word_hashes(data, offsets[phrase], offsets[phrase + 1], classes, lower, hashes)
        chain = np.uint64(0)
        for index in range(count):
            chain = _chained(chain, hashes[index])
            place = _slot(keys, chain)
            keys[place] = chain
            marks[place] |= _ENDS if index == count - 1 else _STARTS
    return keys, marks


@nb.njit(nogil=True, cache=True)
def _found(data, offsets, classes, lower, keys, marks):  # type: ignore[no-untyped-def]
    """(N, 2) words in phrases of the list, and all words; where phrases overlap the first and longest counts."""
    counts = np.zeros((len(offsets) - 1, 2), np.int64)
    longest_text = 0
    for document in range(len(offsets) - 1):
        longest_text = max(longest_text, offsets[document + 1] - offsets[document])
    hashes = np.empty(longest_text + 1, np.uint64)
    for document in range(len(offsets) - 1):
        total = _word_hashes(data, offsets[document], offsets[document + 1], classes, lower, hashes)
        counts[document, 1] = total
        word = 0
        while word < total:
            chain, longest, next_word = np.uint64(0), 0, word
            while next_word < total:
                chain = _chained(chain, hashes[next_word])
                place = _slot(keys, chain)
                next_word += 1
                if keys[place] == 0:
                    break
                if marks[place] & _ENDS:
                    longest = next_word - word
                if not marks[place] & _STARTS:
                    break
            counts[document, 0] += longest
            word += max(longest, 1)
    return counts


@lru_cache(maxsize=8)
def _table(phrases: tuple[str, ...]) -> tuple[NDArray[np.uint64], NDArray[np.uint8]]:
    data, offsets = text_buffers(pa.array(phrases, pa.large_string()))
    places = 1 << (4 * len(data) + 16).bit_length()  # at most one in four is taken: a word has a byte at least
    keys, marks = _build(data, offsets, word_classes(), lower_case(), places)
    return keys, marks


def listed_words(documents: Documents, phrases: tuple[str, ...]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """((N,) words that belong to one of `phrases`, (N,) words) of N documents.

    A phrase is found whatever stands between its words, and in capitals or not.
    """
    keys, marks = _table(phrases)
    counts = _found(documents.bytes, documents.offsets, word_classes(), lower_case(), keys, marks)
    return counts[:, 0], counts[:, 1]


def has_words(text: str) -> bool:
    """Whether there is any word in `text`."""
    return bool((word_classes()[[ord(character) for character in text]] > 0).any())


def read_phrases(path: Path) -> tuple[str, ...]:
    """The lines of a list in UTF-8; empty lines and those that start with `#` are left out.

    Raises:
        DataError: it can't be read, has no phrase, or has one without a letter or digit.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it isn't UTF-8"
        raise DataError(f"blocklist: {path}: {reason}") from None
    phrases = tuple(line.strip() for line in lines if line.strip() and not line.startswith("#"))
    if not phrases:
        raise DataError(f"blocklist: {path}: there is no word in it. Write one word or phrase a line")
    without = [number for number, line in enumerate(lines, 1) if line.strip() in phrases and not has_words(line)]
    if without:
        raise DataError(f"blocklist: {path}:{without[0]}: there is neither letter nor digit in the line")
    return phrases
