"""What one forward pass of a model gives a task, logits or vectors: of packed batches, and of padded rows for a graph.

Shape letters: C labels, D width, L longest document, M documents, N rows of a rectangle, T tokens of a packed batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch.nn.functional as F
from torch import nn

from bmtool.contracts import HeadTask, VectorTask
from bmtool.models.goals.embeddings import embeddings
from bmtool.models.goals.supervised import head_logits
from bmtool.models.heads.head_outputs import logits_of

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from bmtool.contracts import Batch, OnePassTask
    from bmtool.models.families.pooling import Pooling


def values_of(task: OnePassTask, model: nn.Module, batch: Batch) -> NDArray[np.float32]:
    """What `task.read` reads: logits of documents (N, C) or of tokens (T, C), or vectors of documents (M, D)."""
    if isinstance(task, VectorTask):
        vectors = embeddings(model, batch, task.pooling)
        return np.asarray(vectors.detach().cpu().numpy(), dtype=np.float32)
    return head_logits(cast("HeadTask", task).head, model, batch)


def padded_pass(task: OnePassTask, model: Any) -> tuple[nn.Module, str]:
    """The same as a function of padded rows, for a graph; and the name of what it gives."""
    if isinstance(task, VectorTask):
        return Vectors(model, task.pooling), "sentence_embedding"
    return Logits(model), "logits"


class Logits(nn.Module):
    """A classifier as a function of right-padded token ids (N, L) and their mask (N, L) that gives only logits.

    One that is told two texts apart by token types takes these too, (N, L).
    """

    def __init__(self, model: Any) -> None:
        """Wrap a transformers model with a head."""
        super().__init__()
        self.model = model

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor | None = None) -> Tensor:
        """(N, C) of a document head, (N, L, C) of a token head."""
        types = {} if token_type_ids is None else {"token_type_ids": token_type_ids}
        return logits_of(self.model(input_ids=input_ids, attention_mask=attention_mask, **types))


class Vectors(nn.Module):
    """A backbone as a function of right-padded token ids (N, L) and their mask (N, L) that gives vectors."""

    def __init__(self, model: Any, pooling: Pooling) -> None:
        """Wrap a transformers model without a head."""
        super().__init__()
        self.model = model
        self.pooling = pooling

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """(N, D), of length 1."""
        states = self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        if self.pooling == "cls":
            return F.normalize(states[:, 0], dim=-1)
        is_real = attention_mask[:, :, None].to(states.dtype)
        # Scaled to length 1 a sum is what a mean is.
        return F.normalize((states * is_real).sum(dim=1), dim=-1)
