"""Hashes of words and of runs of five words (shingles): what near-duplicates and leaks are found by.

Everything here works on bytes that stay where they are: a few thousand word hashes at a time are held, never a
document's words. Two different words have the same hash with probability 2^-64 (FNV-1a over lower-cased code points,
then mixed); the hashes are the same in every process and on every machine, since sketches made of them are kept.
Whoever could choose text to make two words collide could drop somebody's document with it; by copying most of that
document they could too, so that no secret seed is needed.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bmtool.data.compiled import nb
from bmtool.data.text.words import ALONE, LETTER, code_point, lower_case, word_classes

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Words in a shingle.
SHINGLE = 5

#: Word hashes held at a time: 32 KiB, so that they stay in the first-level cache.
WORDS_HELD = 4096

_SEED = np.uint64(0xCBF29CE484222325)  # FNV-1a, 64 bits: offset basis and prime (RFC 9923)
_PRIME = np.uint64(0x100000001B3)
_MIX = np.uint64(0xFF51AFD7ED558CCD)  # the multipliers of MurmurHash3's 64-bit finalizer
_MIX_AGAIN = np.uint64(0xC4CEB9FE1A85EC53)

# One odd multiplier for each place in a shingle: the same words in another order are another shingle.
_K0 = np.uint64(0x9E3779B97F4A7C15)
_K1 = np.uint64(0xBF58476D1CE4E5B9)
_K2 = np.uint64(0x94D049BB133111EB)
_K3 = np.uint64(0xD6E8FEB86659FD93)
_K4 = np.uint64(0xA0761D6478BD642F)

_OUTSIDE_ASCII = 1


class WordTables(NamedTuple):
    """What `hash_words` looks characters up in."""

    ascii: NDArray[np.uint8]
    """(256,) 0: separates words; 1: first byte of a longer character; else the lower-case letter or digit."""
    classes: NDArray[np.uint8]
    lower: NDArray[np.int32]


@cache
def word_tables() -> WordTables:
    """The tables, made once a process; pass them to kernels, they are read-only."""
    classes, lower = word_classes(), lower_case()
    ascii_words = np.full(256, _OUTSIDE_ASCII, np.uint8)
    ascii_words[:128] = np.where(classes[:128] == LETTER, lower[:128], 0)
    ascii_words.setflags(write=False)
    return WordTables(ascii_words, classes, lower)


@nb.njit(inline="always")
def _finished(h):  # type: ignore[no-untyped-def]
    h = (h ^ (h >> np.uint64(32))) * _MIX
    return h ^ (h >> np.uint64(29))


@nb.njit(nogil=True, cache=True)
def hash_words(data, i, end, held, count, tables):  # type: ignore[no-untyped-def]
    """Write hashes of the words in `data[i:end]` (valid UTF-8) to `held` (uint64), behind the `count` there.

    Returns (where it stopped, how many are held now): at `end`, or behind a word when two more might not fit.
    """
    ascii_words, classes, lower = tables
    room = len(held) - 2  # a letter's word and the character behind it, that is one too, may end together
    h = _SEED
    inside = False
    while i < end and count <= room:
        x = ascii_words[data[i]]
        if x > _OUTSIDE_ASCII:
            h = (h ^ np.uint64(x)) * _PRIME
            inside = True
            i += 1
            continue
        size = 1
        kind = 0
        code = np.int32(0)
        if x == _OUTSIDE_ASCII:
            code, size = code_point(data, i)
            kind = classes[code]
            if code < 0x10000:
                code = lower[code]
        i += size
        if kind == LETTER:
            h = (h ^ np.uint64(code)) * _PRIME
            inside = True
            continue
        if inside:
            held[count] = _finished(h)
            count += 1
            h = _SEED
            inside = False
        if kind == ALONE:
            held[count] = _finished((_SEED ^ np.uint64(code)) * _PRIME)
            count += 1
    if inside:
        held[count] = _finished(h)
        count += 1
    return i, count


@nb.njit(inline="always")
def shingle(w0, w1, w2, w3, w4):  # type: ignore[no-untyped-def]
    """The hash of five words in this order."""
    s = w0 * _K0 + w1 * _K1 + w2 * _K2 + w3 * _K3 + w4 * _K4
    s = (s ^ (s >> np.uint64(33))) * _MIX_AGAIN
    return s ^ (s >> np.uint64(32))


@nb.njit(nogil=True, cache=True)
def short_shingle(held, count):  # type: ignore[no-untyped-def]
    """The one shingle of a text of 1 to 4 words: nothing stands before them."""
    zero = np.uint64(0)
    w1 = held[count - 4] if count >= 4 else zero
    w2 = held[count - 3] if count >= 3 else zero
    w3 = held[count - 2] if count >= 2 else zero
    return shingle(zero, w1, w2, w3, held[count - 1])
