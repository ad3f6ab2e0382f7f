"""Rows of one or two documents as vectors of length 1, and what brings vectors of matching texts together.

Shape letters: D width, N rows, M documents.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

from bmtool.data.scoring.answers import judge_numbers
from bmtool.models.families.batches import pack
from bmtool.models.families.pooling import document_vectors

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn

    from bmtool.contracts import Batch, Columns, Examples
    from bmtool.models.families.pooling import Pooling


def pack_rows(examples: Examples, rows: NDArray[np.int64]) -> Batch:
    """Pack rows; where they have two documents, these don't see each other.

    The targets are `references`, the scores (N,), where there are any, and the term `squared_error` counts N; else the
    numbers of texts, (N,) each, and `ranking` counts N.
    """
    is_scored = "references" in examples.columns
    names, term = (["references"], "squared_error") if is_scored else (["first_ids", "second_ids"], "ranking")
    targets = {name: examples.columns[name][rows] for name in names if name in examples.columns}
    batch = pack(examples, rows, targets=targets, counts={term: len(rows)} if targets else {})
    batch = replace(batch, reads_all=True)
    second = examples.columns.get("second_starts")
    return batch if second is None else _cut_in_two(batch, second[rows])


def _cut_in_two(batch: Batch, second_starts: NDArray[np.int64]) -> Batch:
    """The same tokens as twice as many documents: the second of each begins `second_starts` (N,) behind the first."""
    starts = batch.cu_seq_lens[:-1].long()
    firsts = torch.stack([starts, starts + torch.from_numpy(second_starts)], dim=1).flatten()
    borders = torch.cat([firsts, batch.cu_seq_lens[-1:].long()])
    lengths = borders.diff()
    positions = torch.arange(batch.num_tokens) - torch.repeat_interleave(borders[:-1], lengths)
    return replace(
        batch, position_ids=positions[None], cu_seq_lens=borders.to(torch.int32), max_length=int(lengths.max())
    )


def embeddings(model: nn.Module, batch: Batch, pooling: Pooling) -> Tensor:
    """Vectors of length 1 of all documents in float32: (M, D)."""
    return F.normalize(document_vectors(model, batch, pooling), dim=-1)


def both_embeddings(model: nn.Module, batch: Batch, pooling: Pooling) -> tuple[Tensor, Tensor]:
    """Those of the rows' first and second documents, (N, D) each."""
    vectors = embeddings(model, batch, pooling)
    return vectors[0::2], vectors[1::2]


def ranking_loss(first: Tensor, second: Tensor, targets: Any, temperature: float) -> Tensor:
    """How surely each text finds its partner among the batch's, in nats, both ways in the mean, summed over rows.

    The cross-entropy of cosines over `temperature`: Henderson et al. 2017, "Efficient natural language response
    suggestion", section 4.4; both ways as in Radford et al. 2021 (CLIP), figure 3. Another row with the same first text
    or the same second text isn't taken for wrong: it is left out.
    """
    scores = first @ second.T / temperature
    same = (targets["first_ids"][:, None] == targets["first_ids"]) | (
        targets["second_ids"][:, None] == targets["second_ids"]
    )
    same.fill_diagonal_(fill_value=False)
    scores = scores.masked_fill(same, -torch.inf)
    partners = torch.arange(len(scores), device=scores.device)
    there = F.cross_entropy(scores, partners, reduction="sum")
    return 0.5 * (there + F.cross_entropy(scores.T, partners, reduction="sum"))


def cosine_error(first: Tensor, second: Tensor, scores: Tensor, least: float, scale: float) -> Tensor:
    """Half the squared difference between cosines and scores, in units of `scale` above `least`, summed over rows."""
    wanted = ((scores - least) / scale).float()
    return 0.5 * F.mse_loss((first * second).sum(dim=-1), wanted, reduction="sum")


def row_losses(
    model: nn.Module, batch: Batch, pooling: Pooling, temperature: float, score: tuple[float, float]
) -> dict[str, Tensor]:
    """`squared_error` of a batch with scores, else `ranking`, summed over rows; `score` is as in `row_outputs`."""
    first, second = both_embeddings(model, batch, pooling)
    if "references" in batch.targets:
        return {"squared_error": cosine_error(first, second, batch.targets["references"], *score)}
    return {"ranking": ranking_loss(first, second, batch.targets, temperature)}


def row_outputs(
    vectors: NDArray[np.float32], rows: NDArray[np.int64], examples: Examples, score: tuple[float, float] | None
) -> Columns:
    """From vectors (M, D) of one text a row its `embedding`; of two `first` and `second`, with numbers of their texts.

    With `score`, what the cosine 0 means and what 1 means more, of two what `judge_numbers` gives for the cosine.
    """
    if "second_starts" not in examples.columns:
        return {"embedding": vectors}
    first, second = vectors[0::2], vectors[1::2]
    if score is not None:
        return judge_numbers((first * second).sum(axis=-1, keepdims=True), rows, examples, *score)
    numbers = {name: examples.columns[name][rows] for name in ("first_ids", "second_ids")}
    return {"first": first, "second": second, **numbers}
