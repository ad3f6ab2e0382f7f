"""Packed windows of texts in which an answer is looked for, and the loss of its first and last token.

Shape letters: N windows, T tokens of the batch.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import torch

from bmtool.data.examples.questions import UNKNOWN
from bmtool.models.families.batches import pack, with_types
from bmtool.models.families.packed import token_logits

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from bmtool.contracts import Batch, Examples


def pack_spans(examples: Examples, rows: NDArray[np.int64]) -> Batch:
    """Pack windows; with answers the target is `spans` (N, 2), and `cross_entropy` counts the known ones."""
    targets, counts = {}, {}
    if "spans" in examples.columns:
        spans = examples.columns["spans"][rows]
        targets, counts = {"spans": torch.from_numpy(spans)}, {"cross_entropy": int((spans[:, 0] != UNKNOWN).sum())}
    batch = replace(pack(examples, rows, targets=targets, counts=counts), reads_all=True)
    second = examples.columns.get("second_starts")
    return batch if second is None else with_types(batch, second[rows])


def span_cross_entropy(model: nn.Module, batch: Batch) -> Tensor:
    """Half of the sum of both cross-entropies, each a softmax over the tokens of a window, summed over windows.

    As `ForQuestionAnswering` classes of transformers have it for one window. Windows whose answer is UNKNOWN don't
    count.
    """
    logits = token_logits(model, batch)
    starts = batch.cu_seq_lens[:-1].long()
    owners = torch.repeat_interleave(torch.arange(len(starts), device=logits.device), batch.cu_seq_lens.diff().long())
    largest = logits.new_full((len(starts), 2), -torch.inf)
    largest = largest.scatter_reduce(0, owners[:, None].expand(-1, 2), logits.detach(), "amax")
    sums = logits.new_zeros(len(starts), 2).index_add(0, owners, (logits - largest[owners]).exp())
    known = batch.targets["spans"][:, 0] != UNKNOWN
    places = (starts[:, None] + batch.targets["spans"])[known]
    right = torch.stack([logits[places[:, 0], 0], logits[places[:, 1], 1]], dim=1)
    return 0.5 * (sums[known].log() + largest[known] - right).sum()
