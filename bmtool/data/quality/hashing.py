"""Hashes of byte strings, for tables and sets.

The seeds are fixed: what is measured must not depend on the process.
"""

from __future__ import annotations

import numpy as np

from bmtool.data.quality.native import inlined
from bmtool.data.quality.wide import load_word

OFFSET, PRIME, _MIX = np.uint64(14695981039346656037), np.uint64(1099511628211), np.uint64(0xFF51AFD7ED558CCD)

#: Up to so many bytes, hash and check of a string together are that string itself, shuffled.
SHORT = 11

_WORD = 8
_LONG = 15


@inlined
def mixed(h):  # type: ignore[no-untyped-def]
    """A number whose bits are mixed; different ones stay different."""
    h = (h ^ (h >> np.uint64(32))) * _MIX
    return h ^ (h >> np.uint64(29))


@inlined
def finished(h):  # type: ignore[no-untyped-def]
    """A hash whose bits are mixed, never 0 (which means an empty place)."""
    return mixed(h) | np.uint64(1)


@inlined
def check_of(data, start, end):  # type: ignore[no-untyped-def]
    """28 bits, not all 0: how long a string of up to SHORT bytes is, and its last three if it is longer than a word."""
    size = end - start
    if size > SHORT:
        return np.uint64(_LONG << 24)
    tail = load_word(data, end - _WORD) >> np.uint64(40) if size >= _WORD else np.uint64(0)
    return np.uint64(size << 24) | tail


@inlined
def hash_of(data, start, end):  # type: ignore[no-untyped-def]
    """The hash of the bytes from `start` to `end`, read in words of eight.

    The last word overlaps the one before, so the length goes in too.
    """
    size = end - start
    if size < _WORD:
        top = np.uint64(8 * size)
        word = np.uint64(0)
        if start + _WORD <= len(data):
            word = load_word(data, start) & ((np.uint64(1) << top) - np.uint64(1))
        else:
            for k in range(size):
                word |= np.uint64(data[start + k]) << np.uint64(8 * k)
        return mixed(word | np.uint64(1) << top)
    if size <= SHORT:
        return mixed(load_word(data, start) ^ check_of(data, start, end) * _MIX)
    h = OFFSET ^ np.uint64(size)
    for k in range(start, end - _WORD, _WORD):
        h = (h ^ load_word(data, k)) * _MIX
        h ^= h >> np.uint64(32)
    return finished((h ^ load_word(data, end - _WORD)) * _MIX)
