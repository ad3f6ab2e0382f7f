"""One vector for each document of a packed batch, from the model's last hidden states.

Shape letters: D hidden width, N documents, T tokens.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np

from bmtool.models.families.batches import segment_means
from bmtool.models.families.packed import hidden_states

if TYPE_CHECKING:
    from torch import Tensor, nn

    from bmtool.contracts import Batch

#: The mean over a document's tokens, special tokens included, as sentence-transformers has it; or its first token.
Pooling = Literal["mean", "cls"]


def document_vectors(model: nn.Module, batch: Batch, pooling: Pooling = "mean") -> Tensor:
    """The vectors of all documents between `cu_seq_lens`, in float32: (N, D). An example may have several."""
    documents = replace(batch, rows=np.arange(len(batch.cu_seq_lens) - 1))
    states, borders = hidden_states(model, documents), batch.cu_seq_lens.long()
    if pooling == "cls":
        return states.index_select(0, borders[:-1]).float()
    return segment_means(states.float(), borders)
