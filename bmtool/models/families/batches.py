"""Pack whole documents into one row of tokens.

Shape letters: N documents, T tokens of the batch, special tokens included.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from bmtool.contracts import Batch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray
    from torch import Tensor

    from bmtool.contracts import Examples


def pack(
    examples: Examples,
    rows: NDArray[np.int64],
    *,
    targets: Mapping[str, Any] | None = None,
    counts: Mapping[str, int] | None = None,
) -> Batch:
    """The documents `rows` one after the other, each with its special tokens, as one batch.

    `targets` are tensors or arrays that go along; `counts` says how many targets each loss term sums over.
    """
    lengths = packed_lengths_of(examples, rows)
    cu_seq_lens = np.zeros(len(rows) + 1, dtype=np.int64)
    np.cumsum(lengths, out=cu_seq_lens[1:])
    starts = cu_seq_lens[:-1]
    input_ids = np.empty(cu_seq_lens[-1], dtype=np.int64)
    for place, token in enumerate(examples.prefix):
        input_ids[starts + place] = token
    for place, token in enumerate(reversed(examples.suffix)):
        input_ids[cu_seq_lens[1:] - 1 - place] = token
    input_ids[text_positions(examples, rows)] = examples.tokens.gather(examples.starts[rows], examples.lengths[rows])
    position_ids = np.arange(len(input_ids)) - np.repeat(starts, lengths)
    return Batch(
        input_ids=torch.from_numpy(input_ids)[None],
        position_ids=torch.from_numpy(position_ids)[None],
        cu_seq_lens=torch.from_numpy(cu_seq_lens.astype(np.int32)),
        max_length=int(lengths.max(initial=0)),
        rows=rows,
        targets={name: torch.as_tensor(value) for name, value in (targets or {}).items()},
        counts=dict(counts or {}),
    )


def with_types(batch: Batch, second_starts: NDArray[np.int64]) -> Batch:
    """The batch with token type 1 for text B of each document, which begins at `second_starts` (N,) in it."""
    owners = torch.repeat_interleave(torch.arange(len(batch.rows)), batch.cu_seq_lens.diff().long())
    types = (batch.position_ids[0] >= torch.from_numpy(second_starts)[owners]).long()
    return replace(batch, token_type_ids=types[None])


def with_written(batch: Batch, term: str, unended: NDArray[np.bool_] | None = None, num_end: int = 1) -> Batch:
    """The batch with targets for text B of each document, which a model writes: `positions` and `labels`, both (P,).

    `positions` are of the tokens that predict, and `labels` what follows them: each token of the text and its end,
    whatever its id, unless `unended` (N,) says that the text was cut: then its last `num_end` tokens aren't predicted.
    The loss `term` counts P.
    """
    if batch.token_type_ids is None:
        raise ValueError("there is no text B to be written")
    is_read = batch.token_type_ids[0].bool()
    ends = batch.cu_seq_lens[1:].long() - 1
    is_read[ends] = False
    for place in range(num_end if unended is not None else 0):
        is_read[ends[torch.from_numpy(unended)] - 1 - place] = False
    positions = is_read.nonzero()[:, 0]
    targets = {"positions": positions, "labels": batch.input_ids[0][positions + 1]}
    return replace(batch, targets=targets, counts={term: len(positions)})


def packed_lengths_of(examples: Examples, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Tokens of some examples alone, special ones included: a batch must not cost more in a larger corpus."""
    return examples.lengths[rows].astype(np.int64) + examples.num_specials


def text_positions(examples: Examples, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where the documents' own tokens, not the special ones, are in the batch that `pack` makes of `rows`."""
    lengths = examples.lengths[rows]
    before = np.arange(len(rows)) * examples.num_specials + len(examples.prefix)
    return np.arange(int(lengths.sum())) + np.repeat(before, lengths)


def documents_at(batch: Batch, positions: NDArray[np.int64]) -> NDArray[np.int64]:
    """Which of the batch's documents, from 0 to N - 1, each position belongs to."""
    borders = batch.cu_seq_lens.cpu().numpy()
    return np.asarray(np.searchsorted(borders, positions, side="right") - 1, dtype=np.int64)


def segment_means(states: Tensor, borders: Tensor) -> Tensor:
    """Means of the rows of `states` (T, D) between `borders` (N + 1,), of which none are equal: (N, D)."""
    lengths = borders.diff().long()
    owners = torch.repeat_interleave(torch.arange(len(lengths), device=states.device), lengths)
    sums = states.new_zeros(len(lengths), states.shape[1]).index_add(0, owners, states)
    return sums / lengths[:, None].to(states.dtype)


def to_device(batch: Batch, device: torch.device) -> Batch:
    """The batch with all its tensors on `device`; copies of `pinned` ones aren't waited for."""
    if device.type == "cpu":
        return batch
    return _with_each(batch, lambda tensor: tensor.to(device, non_blocking=True))


def pinned(batch: Batch) -> Batch:
    """The batch in memory that a GPU copies from while the processor goes on."""
    return _with_each(batch, lambda tensor: tensor.pin_memory())


def _with_each(batch: Batch, changed: Callable[[Tensor], Tensor]) -> Batch:
    return replace(
        batch,
        input_ids=changed(batch.input_ids),
        position_ids=changed(batch.position_ids),
        cu_seq_lens=changed(batch.cu_seq_lens),
        token_type_ids=None if batch.token_type_ids is None else changed(batch.token_type_ids),
        targets={name: changed(value) for name, value in batch.targets.items()},
    )
