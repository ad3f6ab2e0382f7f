"""Attention from one packed row to another: each text that is written sees its own source alone.

Shape letters: A heads, D width of a head, N documents, S tokens of all sources, T tokens of all texts that are written.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F

if TYPE_CHECKING:
    from torch import Tensor


def attend_across(
    query: Tensor, key: Tensor, value: Tensor, cu_seq_lens_q: Tensor, cu_seq_lens_k: Tensor, scale: float
) -> Tensor:
    """Queries (1, A, T, D) of each text see keys and values (1, A, S, D) of its source: (1, T, A, D).

    Neighbours of equal lengths go to torch's kernel together. A part is a `split`, whose backward is one copy; views of
    the whole would each fill a whole gradient. `cu_seq_lens_q` and `cu_seq_lens_k` (N + 1,) say where documents start.
    """
    lengths = zip(cu_seq_lens_q.diff().tolist(), cu_seq_lens_k.diff().tolist(), strict=True)
    runs = [(queries, keys, len(list(group))) for (queries, keys), group in itertools.groupby(lengths)]
    parts = zip(
        (count for _, _, count in runs),
        torch.split(query[0], [count * queries for queries, _, count in runs], dim=1),
        torch.split(key[0], [count * keys for _, keys, count in runs], dim=1),
        torch.split(value[0], [count * keys for _, keys, count in runs], dim=1),
        strict=True,
    )
    out = [
        F.scaled_dot_product_attention(
            _by_document(q, count), _by_document(k, count), _by_document(v, count), scale=scale
        )
        for count, q, k, v in parts
    ]
    return torch.cat([part.transpose(1, 2).flatten(0, 1) for part in out])[None]


def _by_document(tokens: Tensor, count: int) -> Tensor:
    """Tokens of `count` documents of equal length, (A, count * L, D), to (count, A, L, D)."""
    heads, length, width = tokens.shape
    return tokens.reshape(heads, count, length // count, width).transpose(0, 1)
