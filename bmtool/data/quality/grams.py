"""Repeated n-grams of a document, compared by 64-bit hashes (see `bmtool.data.quality.lines` for the risk)."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from bmtool.data.quality.native import compiled
from bmtool.data.quality.numbers import DUPLICATE_GRAMS, MAX_SCALE, TOP_GRAMS
from bmtool.data.quality.sets import is_seen

if TYPE_CHECKING:
    from numpy.typing import NDArray

_GRAM_KEYS = np.random.default_rng(5).integers(1, 2**63, 10 * MAX_SCALE, dtype=np.uint64) * np.uint64(2) + np.uint64(1)


class Room(NamedTuple):
    """Work space for the n-grams of one document of T tokens."""

    hashes: NDArray[np.uint64]
    places: NDArray[np.int64]
    """(T + 1,) characters before each token"""
    grams: NDArray[np.uint64]
    candidates: NDArray[np.int32]
    slots: NDArray[np.int32]


@compiled
def _start(n, width, room, keys):  # type: ignore[no-untyped-def]
    """Make a gram of `width` tokens at each place that has room for it, all of them candidates; how many."""
    m = n - width + 1
    for t in range(m):
        room.candidates[t], room.grams[t] = t, room.hashes[t] * keys[0]
    for j in range(1, width):
        for t in range(m):  # without branches, so that it is compiled to vector instructions
            room.grams[t] += room.hashes[t + j] * keys[j]
    return m


@compiled
def _widen(m, start, width, n, room, keys):  # type: ignore[no-untyped-def]
    """Make grams of `start` tokens at the candidates into grams of `width`; how many candidates have room for that."""
    while m and np.int64(room.candidates[m - 1]) + width > n:
        m -= 1
    for k in range(m):
        t = np.int64(room.candidates[k])
        for j in range(start, width):
            room.grams[t] += room.hashes[t + j] * keys[j]
    return m


@compiled
def count_top_grams(n, scale, room, seen, mask, keys, numbers):  # type: ignore[no-untyped-def]
    """Characters in the most frequent 2-, 3-, 4-gram (blanks between its words included); the first of equals counts.

    A gram can repeat only where a shorter one does: what is left at the end are the places where 4-grams repeat.
    """
    m = n
    for size in range(2, 5):
        width = size * scale
        if n < width:
            return 0
        m = _start(n, width, room, keys) if size == 2 else _widen(m, width - scale, width, n, room, keys)
        seen.epoch[0] += 1
        best = np.int32(1)
        for k in range(m):
            is_copy, slot = is_seen(room.grams[room.candidates[k]], seen, mask)
            room.slots[k] = slot
            count = (seen.counts[slot] if is_copy else np.int32(0)) + np.int32(1)
            seen.counts[slot] = count
            best = max(best, count)
        top, kept, is_found = np.int64(0), 0, best == 1
        for k in range(m):
            count, t = seen.counts[room.slots[k]], np.int64(room.candidates[k])
            if count == best and not is_found:
                top, is_found = t, True
            room.candidates[kept] = t
            kept += count > 1
        m = kept
        chars = room.places[top + width] - room.places[top] + (size - 1 if scale == 1 else 0)
        numbers[TOP_GRAMS + size - 2] = best * chars
    return m


@compiled
def count_duplicate_grams(n, m, scale, room, seen, mask, keys, numbers):  # type: ignore[no-untyped-def]
    """Characters in 5- to 10-grams that came before, each counted once: behind a repeated one the search goes on."""
    for size in range(5, 11):
        width = size * scale
        m = _widen(m, width - scale, width, n, room, keys)
        seen.epoch[0] += 1
        chars, after = 0, 0
        for k in range(m):
            t = np.int64(room.candidates[k])
            if t >= after:
                is_copy, _ = is_seen(room.grams[t], seen, mask)
                if is_copy:
                    chars += room.places[t + width] - room.places[t]
                    after = t + width
        numbers[DUPLICATE_GRAMS + size - 5] = chars
        if chars == 0:
            return


def gram_keys() -> NDArray[np.uint64]:
    """Odd factors, one a place in an n-gram."""
    return _GRAM_KEYS
