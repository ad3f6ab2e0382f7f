"""Blocks of tokens that attend together: whole documents, or stretches of a long one that see a window around them.

Shape letters: A heads, D width of a head, L length of a document, N blocks, Q queries and S keys of a block, T tokens.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

#: Queries of a block of local attention, at least and at most; in between it is as long as the window reaches. Measured
#: for ModernBERT's 64 tokens to each side, 12 heads of 64, ms of one core for 4,096 tokens forward and backward: blocks
#: of 32 took 148, 64 122, 96 114, 128 120, 192 126 in float32; 145, 145, 146, 147 and 105 in bfloat16.
MIN_QUERIES, MAX_QUERIES = 192, 768

#: Documents up to this length are not cut: documents of equal length go as one batch then, with a mask.
WHOLE_TOKENS = 320


@dataclass(frozen=True)
class Block:
    """N stretches of Q queries, `step` tokens from one to the next, each with the S keys that it may see."""

    start: int
    """The first stretch's first query."""
    step: int
    count: int
    """N"""
    queries: int
    """Q"""
    keys: int
    """S"""
    before: int = 0
    """How many of the keys stand before the first query."""
    is_masked: bool = False
    """Whether some of the keys are too far from some of the queries."""

    def of_queries(self, packed: Tensor) -> Tensor:
        """The queries as a view: (1, A, T, D) to (N, A, Q, D)."""
        return self._view(packed, self.start, self.queries)

    def of_keys(self, packed: Tensor) -> Tensor:
        """The keys as a view, in which neighbouring stretches may overlap: (1, A, T, D) to (N, A, S, D)."""
        return self._view(packed, self.start - self.before, self.keys)

    def add_keys(self, packed: Tensor, values: Tensor) -> None:
        """Add `values` (N, A, S, D) where the keys are; where stretches overlap, all of them count."""
        for first in range(0, self.keys, self.step):
            part = values[:, :, first : first + self.step]  # parts of this length don't overlap
            self._view(packed, self.start - self.before + first, part.shape[2]).add_(part)

    def _view(self, packed: Tensor, start: int, length: int) -> Tensor:
        _, heads, _, width = packed.shape
        _, head, token, column = packed.stride()
        return packed.as_strided(
            (self.count, heads, length, width),
            (self.step * token, head, token, column),
            packed.storage_offset() + start * token,
        )


def document_blocks(cu_seq_lens: Tensor, *, causal: bool, window: int | None) -> list[Block]:
    """All tokens of a pack in blocks: neighbours of equal length together, long documents cut where a window allows it.

    Args:
        cu_seq_lens: (documents + 1,) where documents start.
        causal: whether tokens see only what is before them.
        window: how many tokens further than its neighbour a token sees; None: all.
    """
    blocks: list[Block] = []
    for start, count, length in _runs(cu_seq_lens.tolist()):
        whole = Block(start, length, count, length, length)
        if window is None or length <= window + 1:
            blocks.append(whole)
        elif length <= WHOLE_TOKENS:
            blocks.append(replace(whole, is_masked=True))
        else:
            for document in range(start, start + count * length, length):
                blocks += [
                    replace(block, start=document + block.start)
                    for block in _cut(length, window, 0 if causal else window)
                ]
    return blocks


def window_mask(block: Block, *, causal: bool, window: int) -> Tensor:
    """(Q, S): 0 where a query sees a key, minus infinity elsewhere."""
    whole = _mask(window, 0 if causal else window)
    first = window - block.before
    return whole[: block.queries, first : first + block.keys]


def _runs(borders: list[int]) -> Iterator[tuple[int, int, int]]:
    """(start, documents, length) of each run of neighbours with equal length; empty documents have no tokens."""
    start = 0
    for length, group in itertools.groupby(end - begin for begin, end in itertools.pairwise(borders)):
        count = len(list(group))
        if length:
            yield start, count, length
        start += count * length


def _block_queries(left: int) -> int:
    return max(MIN_QUERIES, min(left, MAX_QUERIES))


@lru_cache(maxsize=256)
def _cut(length: int, left: int, right: int) -> tuple[Block, ...]:
    """Blocks of one document whose tokens see so many tokens to the left and to the right."""
    size = _block_queries(left)
    blocks: list[Block] = []
    for start in range(0, length, size):
        end, first = min(start + size, length), max(0, start - left)
        last = min(length, end + right)
        block = Block(start, size, 1, end - start, last - first, start - first, is_masked=True)
        if blocks and replace(blocks[-1], start=start, count=1) == block:
            blocks[-1] = replace(blocks[-1], count=blocks[-1].count + 1)
        else:
            blocks.append(block)
    return tuple(blocks)


@lru_cache(maxsize=4)
def _mask(left: int, right: int) -> Tensor:
    """A mask that has that of every block as a part, since a mask depends on distances alone."""
    size = _block_queries(left)
    queries = torch.arange(max(size, WHOLE_TOKENS))[:, None] + left
    keys = torch.arange(left + max(size + left + right, WHOLE_TOKENS))[None]
    distance = queries - keys
    hidden = (distance > left) | (distance < -right)
    return torch.zeros(hidden.shape).masked_fill_(hidden, -math.inf)
