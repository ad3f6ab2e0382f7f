"""Texts with some of their tokens hidden, so that a model must answer by the others.

Shape letters: P positions.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bmtool.contracts import Batch


def hidden(
    batch: Batch, positions: NDArray[np.int64], ratio: float, mask: int | None, rng: np.random.Generator
) -> Batch:
    """The batch with about `ratio` of its tokens at `positions` (P,) hidden by the token `mask`.

    Without such a token each is replaced by one that stands at another of these positions (Xie et al. 2020,
    "Unsupervised data augmentation", section 3.1, draws words by how little they say; here each is as likely).
    """
    chosen = positions[rng.random(len(positions)) < ratio]
    ids = batch.input_ids.clone()
    row = ids[0].numpy()
    row[chosen] = row[rng.choice(positions, size=len(chosen))] if mask is None else mask
    return replace(batch, input_ids=ids)
