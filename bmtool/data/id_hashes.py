"""xxh3_64 of many values of 32 bytes, as ids are: one call for each of them takes twenty times longer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bmtool.data.compiled import nb

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Bytes of each value.
ID_BYTES = 32

# XXH3_len_17to128_64b of xxHash 0.8 for 32 bytes: its secret as little-endian words, and its constants.
_SECRET = (0xBE4BA423396CFEB8, 0x1CAD21F72C81017C, 0xDB979083E96DD4DE, 0x1F67B3B7A4A44072)
_START = np.uint64(ID_BYTES * 0x9E3779B185EBCA87 % 2**64)
_AVALANCHE = np.uint64(0x165667919E3779F9)
_LOW = np.uint64(0xFFFFFFFF)


@nb.njit(inline="always")
def _folded(a, b):  # type: ignore[no-untyped-def]
    """The two halves of a * b (128 bits), xored."""
    half = np.uint64(32)
    low = (a & _LOW) * (b & _LOW)
    one, other = (a >> half) * (b & _LOW), (a & _LOW) * (b >> half)
    carried = (low >> half) + (one & _LOW) + (other & _LOW)
    return (a * b) ^ ((a >> half) * (b >> half) + (one >> half) + (other >> half) + (carried >> half))


@nb.njit(nogil=True, cache=True)
def _hash(words, keys):  # type: ignore[no-untyped-def]
    hashes = np.empty(len(words), np.uint64)
    for i in range(len(words)):
        h = _START + _folded(words[i, 0] ^ keys[0], words[i, 1] ^ keys[1])
        h += _folded(words[i, 2] ^ keys[2], words[i, 3] ^ keys[3])
        h = (h ^ (h >> np.uint64(37))) * _AVALANCHE
        hashes[i] = h ^ (h >> np.uint64(32))
    return hashes


def hash_ids(data: NDArray[np.uint8], seed: int) -> NDArray[np.uint64]:
    """(N,) `xxhash.xxh3_64_intdigest(value, seed)` of N values, given their bytes (32 N,) one after the other."""
    keys = [(secret + (seed if place % 2 == 0 else -seed)) % 2**64 for place, secret in enumerate(_SECRET)]
    words = data.view("<u8").reshape(-1, 4)
    words.flags.writeable = False  # Arrow's buffers mostly are: one kernel does for all
    return np.asarray(_hash(words, np.array(keys, np.uint64)))
