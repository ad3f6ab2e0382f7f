"""Give a model rows for tokens that its vocabulary didn't have.

Shape letters: D width, V vocabulary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from bmtool.models.building.build import quiet_transformers

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor
    from transformers import PreTrainedModel


def widen(model: PreTrainedModel, pieces: Mapping[int, Sequence[int]]) -> tuple[int, int]:
    """Set the rows of new tokens to the mean of the rows of the tokens that they were before; (V before, V now).

    `pieces` has old ids by new id. Input and output embeddings (V, D) grow to hold the largest new id, and so does the
    output's bias (V,); where there are as many rows already, as in models padded to a round size, they stay as many.
    A token without pieces starts at the mean of all that there were (Hewitt 2021,
    https://nlp.stanford.edu/~johnhew/vocab-expansion.html).

    Source: Gee et al. 2022, Fast Vocabulary Transfer for Language Model Compression, section 2.
    """
    before = len(_by_token(model)[0])
    size = max(before, max(pieces, default=-1) + 1)
    first = min(pieces, default=before)
    if size > before:
        with quiet_transformers(), torch.random.fork_rng(devices=[]):
            model.resize_token_embeddings(size, mean_resizing=False)
    with torch.no_grad():
        for tensor in _by_token(model):
            known = tensor[: min(first, before)].clone()
            for place, old in pieces.items():
                tensor[place] = (known[list(old)] if old else known).mean(0)
    return before, size


def _by_token(model: PreTrainedModel) -> list[Tensor]:
    """The parameters that have a row a token, each once: tied ones are the same tensor."""
    untyped: Any = model
    head = untyped.get_output_embeddings()
    tensors: list[Tensor] = [untyped.get_input_embeddings().weight]
    if head is not None:
        tensors += [head.weight, *([head.bias] if getattr(head, "bias", None) is not None else [])]
    return list({tensor.data_ptr(): tensor for tensor in tensors}.values())
