"""Short fingerprints of texts: an exact one to find copies, and a sketch to find texts that share most of their words.

The sketch is MinHash (Broder 1997) of a text's set of word 5-grams: 112 values, and the share of equal values of two
sketches estimates the Jaccard similarity J of the two sets with standard error sqrt(J (1 - J) / 112). Of each 32-bit
minimum 16 bits are kept (b-bit minwise hashing, Li and Koenig 2010): two different minima look equal once in 65,536.
"""

from __future__ import annotations

from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from bmtool.data.compiled import nb
from bmtool.data.kept_tables import kept_table
from bmtool.data.similarity.shingles import SHINGLE, WORDS_HELD, hash_words, shingle, short_shingle, word_tables
from bmtool.data.text.documents import text_buffers
from bmtool.data.text.words import code_point

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Values in a sketch.
VALUES = 112

#: All values of the sketch of a text without words; it is like no other, not even like itself.
WORDLESS = 0xFFFF


@cache
def _permutations() -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """(112,) odd multipliers and (112,) masks of the permutations x -> (x ^ mask) * multiplier of 32-bit numbers.

    They come from SplitMix64 (Steele, Lea, Flood 2014), not from a library's generator: sketches outlive versions.
    """
    numbers = []
    state = 0
    for _ in range(VALUES):
        state = (state + 0x9E3779B97F4A7C15) & 0xFFFFFFFFFFFFFFFF
        z = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 & 0xFFFFFFFFFFFFFFFF
        z = (z ^ z >> 27) * 0x94D049BB133111EB & 0xFFFFFFFFFFFFFFFF
        numbers.append(z ^ z >> 31)
    drawn = np.array(numbers, np.uint64)
    return (drawn >> np.uint64(32)).astype(np.uint32) | np.uint32(1), drawn.astype(np.uint32)


@nb.njit(nogil=True, cache=True)
def _lower_minima(minima, hashes, count, multipliers, masks):  # type: ignore[no-untyped-def]
    """Four hashes at a time over all permutations: the compiler turns the inner loop into vector instructions."""
    j = 0
    while j < count:
        x0 = hashes[j]
        x1 = hashes[min(j + 1, count - 1)]
        x2 = hashes[min(j + 2, count - 1)]
        x3 = hashes[min(j + 3, count - 1)]
        for p in range(VALUES):
            a, x = multipliers[p], masks[p]
            low = min(np.uint32((x0 ^ x) * a), np.uint32((x1 ^ x) * a))
            high = min(np.uint32((x2 ^ x) * a), np.uint32((x3 ^ x) * a))
            minima[p] = min(minima[p], min(low, high))
        j += 4


@nb.njit(nogil=True, cache=True)
def _sketch(data, offsets, tables, multipliers, masks):  # type: ignore[no-untyped-def]
    rows = len(offsets) - 1
    sketches = np.empty((rows, VALUES), np.uint16)
    words = np.zeros(rows, np.int64)
    held = np.empty(WORDS_HELD, np.uint64)
    hashes = np.empty(WORDS_HELD, np.uint32)
    minima = np.empty(VALUES, np.uint32)
    for row in range(rows):
        minima[:] = np.uint32(0xFFFFFFFF)
        i, end, kept = offsets[row], offsets[row + 1], 0
        while i < end:
            i, count = hash_words(data, i, end, held, kept, tables)
            words[row] += count - kept
            for j in range(count - SHINGLE + 1):
                hashes[j] = np.uint32(shingle(held[j], held[j + 1], held[j + 2], held[j + 3], held[j + 4]))
            _lower_minima(minima, hashes, count - SHINGLE + 1, multipliers, masks)
            kept = min(count, SHINGLE - 1)
            for j in range(kept):
                held[j] = held[count - kept + j]
        if words[row] == 0:
            sketches[row] = WORDLESS
            continue
        if words[row] < SHINGLE:
            hashes[0] = np.uint32(short_shingle(held, kept))
            _lower_minima(minima, hashes, 1, multipliers, masks)
        for p in range(VALUES):  # the low bits of a product know only low bits: bring all 32 into the 16 kept
            sketches[row, p] = np.uint16(np.uint32(minima[p] * np.uint32(0x9E3779B1)) >> np.uint32(16))
    return sketches, words


def sketch(data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> tuple[NDArray[np.uint16], NDArray[np.int64]]:
    """(N, 112) sketches of N texts, given as `text_buffers` gives them, and (N,) their numbers of words.

    A text of 1 to 4 words is one shingle of them all. A text without words gets WORDLESS everywhere.
    """
    result: tuple[NDArray[np.uint16], NDArray[np.int64]] = _sketch(data, offsets, word_tables(), *_permutations())
    return result


_SPACES = [0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B)]
_SPACES += [0x2028, 0x2029, 0x202F, 0x205F, 0x3000]

#: Above it no character is white space or has another case (Unicode 16: the last is Adlam, 0x1E943).
_FOLDED = 0x20000

_WIDE = np.uint8(2)  # the mark of a byte that is part of a character outside ASCII; 1: of a space behind a space


@kept_table(f"pyarrow {pa.__version__}")
def _folding() -> NDArray[np.int32]:
    """(0x20000,) what stands for each code point: 32 for white space, else Arrow's lower case."""
    codes = [code for code in range(_FOLDED) if not 0xD800 <= code < 0xE000]
    lowered = pc.utf8_lower(pa.array([chr(code) for code in codes], pa.string())).to_pylist()
    folding = np.arange(_FOLDED, dtype=np.int32)
    folding[codes] = [ord(character) for character in lowered]
    folding[_SPACES] = 32
    return folding


@nb.njit(inline="always")
def _write(out, k, code):  # type: ignore[no-untyped-def]
    """Write a code point as UTF-8 at `k`; return the place behind it."""
    if code < 0x80:
        out[k] = np.uint8(code)
        return k + 1
    if code < 0x800:
        out[k] = np.uint8(0xC0 | code >> 6)
        out[k + 1] = np.uint8(0x80 | code & 63)
        return k + 2
    if code < 0x10000:
        out[k] = np.uint8(0xE0 | code >> 12)
        out[k + 1] = np.uint8(0x80 | code >> 6 & 63)
        out[k + 2] = np.uint8(0x80 | code & 63)
        return k + 3
    out[k] = np.uint8(0xF0 | code >> 18)
    out[k + 1] = np.uint8(0x80 | code >> 12 & 63)
    out[k + 2] = np.uint8(0x80 | code >> 6 & 63)
    out[k + 3] = np.uint8(0x80 | code & 63)
    return k + 4


@nb.njit(nogil=True, cache=True)
def _mark(data, before, lowered, marks):  # type: ignore[no-untyped-def]
    """Lower ASCII bytes and turn white space into spaces; mark what needs another look.

    `before` is `data` one byte earlier. No branches, so that the compiler turns it into vector instructions.
    """
    for i in range(len(data)):
        x, y = data[i], before[i]
        space = np.uint8(x == 32) | np.uint8(np.uint8(x - np.uint8(9)) < 5)
        space_before = np.uint8(y == 32) | np.uint8(np.uint8(y - np.uint8(9)) < 5)
        capital = np.uint8(np.uint8(x - np.uint8(65)) < 26)
        lowered[i] = np.uint8(32) if space else np.uint8(x + np.uint8(capital << np.uint8(5)))
        marks[i] = np.uint8(x >> np.uint8(7) << np.uint8(1)) | np.uint8(space & space_before)


@nb.njit(nogil=True, cache=True)
def _fold(data, offsets, folding):  # type: ignore[no-untyped-def]
    """(bytes, offsets) of the texts in lower case, white space as single spaces and none at the ends."""
    rows = len(offsets) - 1
    longest = 0
    for row in range(rows):
        longest = max(longest, offsets[row + 1] - offsets[row])
    lowered, marks = np.empty(longest, np.uint8), np.empty(longest, np.uint8)
    out = np.empty(len(data) + len(data) // 2 + 4, np.uint8)  # two bytes may become three: U+023A
    places = np.zeros(rows + 1, np.int64)
    k = 0
    for row in range(rows):
        text = data[offsets[row] : offsets[row + 1]]
        if len(text) > 0:
            _mark(text[:1], text[:1], lowered[:1], marks[:1])
            _mark(text[1:], text[:-1], lowered[1 : len(text)], marks[1 : len(text)])
        i, start = 0, k
        blank = True  # no space at the start, none behind another
        while i < len(text):
            if marks[i] == 0 and not blank:
                out[k] = lowered[i]
                k += 1
                i += 1
            elif marks[i] < _WIDE:
                if lowered[i] != 32:
                    out[k] = lowered[i]
                    k += 1
                    blank = False
                i += 1
            else:
                code, size = code_point(text, i)
                if code < _FOLDED:
                    code = folding[code]
                if code != 32 or (not blank and out[k - 1] != 32):
                    k = _write(out, k, code)
                blank = code == 32
                i += size
        if k > start and out[k - 1] == 32:
            k -= 1
        places[row + 1] = k
    return out[:k], places


def folded(data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The N texts in lower case (pyarrow's) and with folded white space, none at the ends, as (bytes, offsets)."""
    result: tuple[NDArray[np.uint8], NDArray[np.int64]] = _fold(data, offsets, _folding())
    return result


def text_hashes(texts: pa.Array) -> NDArray[Any]:
    """(N,) xxh3_128 of each text (string) but for case and white space, as 16 bytes (S16).

    Among n different texts two are equal by chance with probability n^2 / 2^129: 10^-20 for a thousand million.
    """
    data, offsets = folded(*text_buffers(texts))
    digest = xxhash.xxh3_128_digest
    view = data.data
    places = offsets.tolist()
    joined = b"".join([digest(view[a:b]) for a, b in pairwise(places)])
    return np.frombuffer(joined, "S16")
