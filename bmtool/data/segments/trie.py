"""A set of byte strings with ids, walked byte by byte: the longest token at a place is found in one pass."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np

from bmtool.data.compiled import nb

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)  # 2^64 / golden ratio: Knuth, TAOCP 3, 6.4
_U8 = np.uint64(8)
_U40 = np.uint64(40)


@dataclass(frozen=True)
class Trie:
    """Edges in a hash table: (node, byte) to node. The first nodes are roots."""

    keys: NDArray[np.uint64]
    """(slots,) node and byte, plus one; 0 is empty"""
    children: NDArray[np.int32]
    """(slots,)"""
    accepts: NDArray[np.int32]
    """(nodes,) the id of the token that ends at a node, or -1"""


@nb.njit(inline="always")
def slot_of(keys, node, byte):  # type: ignore[no-untyped-def]
    """(the slot of an edge or the empty one where it belongs, its key)."""
    last = np.uint64(len(keys) - 1)
    key = (np.uint64(node) << _U8 | np.uint64(byte)) + np.uint64(1)
    slot = ((key * _GOLDEN) >> _U40) & last
    while keys[slot] != 0 and keys[slot] != key:
        slot = (slot + np.uint64(1)) & last
    return slot, key


@nb.njit(inline="always")
def longest(data, place, end, root, keys, children, accepts):  # type: ignore[no-untyped-def]
    """(id, end) of the longest token of `data[place:end]` at `place`; (-1, place) if there is none."""
    node = root
    best = np.int32(-1)
    best_end = place
    while place < end:
        slot, _ = slot_of(keys, node, data[place])
        if keys[slot] == 0:
            break
        node = children[slot]
        place += 1
        if accepts[node] >= 0:
            best = accepts[node]
            best_end = place
    return best, best_end


@nb.njit(nogil=True, cache=True)
def _insert(data, offsets, ids, roots, keys, children, accepts, num_nodes):  # type: ignore[no-untyped-def]
    for n in range(len(ids)):
        node = roots[n]
        for place in range(offsets[n], offsets[n + 1]):
            slot, key = slot_of(keys, node, data[place])
            if keys[slot] == 0:
                keys[slot] = key
                children[slot] = num_nodes
                num_nodes += 1
            node = children[slot]
        accepts[node] = ids[n]


def build_trie(tokens: Sequence[bytes], ids: Sequence[int], roots: Sequence[int], num_roots: int) -> Trie:
    """A trie of distinct (root, token) pairs; an empty token is accepted nowhere."""
    filled = [(token, one, root) for token, one, root in zip(tokens, ids, roots, strict=True) if token]
    offsets = np.array([0, *accumulate(len(token) for token, _, _ in filled)], np.int64)
    slots = 1 << max(8, int(1.25 * offsets[-1]).bit_length())  # most edges are shared
    keys, children = np.zeros(slots, np.uint64), np.zeros(slots, np.int32)
    accepts = np.full(num_roots + int(offsets[-1]), -1, np.int32)
    _insert(
        np.frombuffer(b"".join(token for token, _, _ in filled) or b"\0", np.uint8),
        offsets,
        np.array([one for _, one, _ in filled], np.int32),
        np.array([root for _, _, root in filled], np.int32),
        keys,
        children,
        accepts,
        num_roots,
    )
    return Trie(keys, children, accepts)
