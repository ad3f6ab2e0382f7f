"""Hashes of byte strings, for tables and sets.

The seeds are fixed: what is measured must not depend on the process.
"""

from __future__ import annotations

import numpy as np

from bmtool.data.quality.native import inlined

OFFSET, PRIME, _MIX = np.uint64(14695981039346656037), np.uint64(1099511628211), np.uint64(0xFF51AFD7ED558CCD)


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
def hash_of(data, start, end):  # type: ignore[no-untyped-def]
    """FNV-1a of the bytes from `start` to `end`, mixed."""
    h = OFFSET
    for i in range(start, end):
        h = (h ^ np.uint64(data[i])) * PRIME
    return finished(h)
