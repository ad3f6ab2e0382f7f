"""Finds the segments of texts: what stands between two white spaces, and each character that is a word by itself."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bmtool.data.quality import english
from bmtool.data.quality.english import HAN, SPACE, UNSPACED, place_of
from bmtool.data.quality.hashing import OFFSET, PRIME, finished, mixed
from bmtool.data.quality.native import compiled
from bmtool.data.text.words import code_point

if TYPE_CHECKING:
    from numpy.typing import NDArray

PLAIN, ALONE, BLANK = 0, 1, 2

#: Up to so many bytes a segment's hash is the segment itself, shuffled.
SHORT = 7


class Segments(NamedTuple):
    """The segments of some texts, in their order."""

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    firsts: NDArray[np.int64]
    """(N + 1,) the first segment of each text"""
    newlines: NDArray[np.int64]
    """(N,) line breaks of each text"""
    rows: NDArray[np.int64]
    """the row of each segment in the memo"""


@cache
def kinds_of_characters() -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """(HAN + 2,) PLAIN, ALONE or BLANK of each code point; (256,) the first bytes of those that are not PLAIN."""
    flags = english.characters()
    kinds = np.where(flags & SPACE, BLANK, np.where(flags & UNSPACED, ALONE, PLAIN)).astype(np.uint8)
    leads = np.zeros(256, bool)
    for code in np.flatnonzero(kinds[: HAN + 1]):
        if not 0xD800 <= code < 0xE000:
            leads[chr(code).encode()[0]] = True
    leads[0xF0:] = True  # Han of planes 2 and 3: one entry stands for them
    return kinds, leads


@compiled
def scan(data, offsets, kinds, leads, starts, ends, hashes, firsts, newlines):  # type: ignore[no-untyped-def]
    """Find the segments of each text, and hash them; how many there are."""
    n = 0
    for document in range(len(offsets) - 1):
        firsts[document] = n
        newlines[document] = 0
        i, end = offsets[document], offsets[document + 1]
        while i < end:
            h, packed, start, kind, size = OFFSET, np.uint64(1), i, np.uint8(PLAIN), 0
            while i < end:
                x = data[i]
                if leads[x]:
                    if x < 128:
                        kind, size = np.uint8(BLANK), 1
                        break
                    code, size = code_point(data, i)
                    kind = kinds[place_of(code)]
                    if kind != PLAIN:
                        break
                    for k in range(i, i + size):
                        h = (h ^ np.uint64(data[k])) * PRIME
                        packed = packed << np.uint64(8) | np.uint64(data[k])
                    i += size
                else:
                    h = (h ^ np.uint64(x)) * PRIME
                    packed = packed << np.uint64(8) | np.uint64(x)
                    i += 1
            if i > start:
                starts[n], ends[n] = start, i
                hashes[n] = finished(h) if i - start > SHORT else mixed(packed)
                n += 1
            if kind == ALONE:
                packed = np.uint64(1)
                for k in range(i, i + size):
                    packed = packed << np.uint64(8) | np.uint64(data[k])
                starts[n], ends[n], hashes[n] = i, i + size, mixed(packed)
                n += 1
            elif kind == BLANK and data[i] == 10:
                newlines[document] += 1
            i += size if kind != PLAIN else 0
    firsts[len(offsets) - 1] = n
    return n
