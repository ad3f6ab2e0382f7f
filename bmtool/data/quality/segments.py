"""Finds the segments of texts: what stands between two white spaces, and each character that is a word by itself."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bmtool.data.quality import english
from bmtool.data.quality.english import SPACE, UNSPACED, place_of
from bmtool.data.quality.hashing import hash_of
from bmtool.data.quality.native import compiled, inlined
from bmtool.data.quality.wide import is_stop, load_stops, trailing_zeros
from bmtool.data.text.words import code_point

if TYPE_CHECKING:
    from numpy.typing import NDArray

PLAIN, ALONE, BLANK = 0, 1, 2

_BLOCK = 64


class Segments(NamedTuple):
    """The segments of some texts, in their order."""

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    hashes: NDArray[np.uint64]
    """`bmtool.data.quality.hashing.hash_of`"""
    rows: NDArray[np.int32]
    """the row of each segment in the memo"""
    firsts: NDArray[np.int64]
    """(N + 1,) the first segment of each text"""
    newlines: NDArray[np.int64]
    """(N,) line breaks of each text"""


@cache
def kinds_of_characters() -> NDArray[np.uint8]:
    """(HAN + 2,) PLAIN, ALONE or BLANK of each code point."""
    flags = english.characters()
    return np.where(flags & SPACE, BLANK, np.where(flags & UNSPACED, ALONE, PLAIN)).astype(np.uint8)


@inlined
def _stops(data, base, end):  # type: ignore[no-untyped-def]
    """Which of the bytes from `base` to `end` are stops (64 at most), as bits."""
    if base + _BLOCK <= len(data):
        bits = load_stops(data, base)
        return bits if base + _BLOCK <= end else bits & ((np.uint64(1) << np.uint64(end - base)) - np.uint64(1))
    bits = np.uint64(0)
    for k in range(min(end - base, _BLOCK)):
        bits |= np.uint64(is_stop(data[base + k])) << np.uint64(k)
    return bits


@compiled
def scan(data, offsets, kinds, starts, ends, hashes, firsts, newlines):  # type: ignore[no-untyped-def]
    """Find the segments of each text, and hash them; how many there are."""
    n = 0
    for document in range(len(offsets) - 1):
        firsts[document] = n
        start, end, feeds = offsets[document], offsets[document + 1], 0
        for base in range(start, end, _BLOCK):
            bits = _stops(data, base, end)
            while bits:
                i = base + trailing_zeros(bits)
                bits &= bits - np.uint64(1)
                kind, size = np.uint8(BLANK), 1
                if data[i] < 128:
                    feeds += data[i] == 10
                else:
                    code, size = code_point(data, i)
                    kind = kinds[place_of(code)]
                    if kind == PLAIN:
                        continue
                starts[n], ends[n] = start, i
                n += i > start
                if kind == ALONE:
                    starts[n], ends[n] = i, i + size
                    n += 1
                start = i + size
        starts[n], ends[n] = start, end
        n += end > start
        newlines[document] = feeds
    firsts[len(offsets) - 1] = n
    for k in range(n):
        hashes[k] = hash_of(data, starts[k], ends[k])
    return n
