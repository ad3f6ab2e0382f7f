"""Texts that an encoder-decoder learns and writes token by token: batches of them, their likelihood, writing them.

Shape letters: N examples, P target positions, T tokens of a batch.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bmtool.data.examples.targets import numbers_of
from bmtool.models.decoding.search import MAX_TEXTS, masked_attention, search, until
from bmtool.models.families.batches import documents_at, pack, with_types, with_written
from bmtool.models.families.encoder_decoder import rectangles, start_token
from bmtool.models.families.packed import lm_scores_at
from bmtool.models.families.positions import longest_document

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from bmtool.contracts import Batch, Columns, Examples
    from bmtool.models.decoding.search import Search
    from bmtool.models.families.encoder_decoder import Rectangle

#: Sources that are answered together: a step of writing costs much the same for few and for many, and padding little.
MAX_PADDING = 0.5


def pack_targets(examples: Examples, rows: NDArray[np.int64]) -> Batch:
    """Pack sources and targets, these as token type 1, of examples of `bmtool.data.examples.targets`.

    With targets, those of the batch are as `with_written` says. The term `cross_entropy` counts P.
    """
    batch = with_types(pack(examples, rows), examples.columns["second_starts"][rows])
    if "references" not in examples.columns:
        return batch
    return with_written(batch, "cross_entropy", examples.columns["is_unended"][rows], len(examples.suffix))


def target_likelihoods(model: nn.Module, batch: Batch) -> Columns:
    """Per example `nll` (N,), the sum of nats of its target's tokens, and `targets` (N,), how many there are."""
    positions = batch.targets["positions"]
    nll, _ = lm_scores_at(model, batch, positions, batch.targets["labels"])
    owners = documents_at(batch, positions.cpu().numpy())
    count = len(batch.rows)
    return {
        "nll": np.bincount(owners, weights=nll.double().cpu().numpy(), minlength=count),
        "targets": np.bincount(owners, minlength=count),
    }


def write(model: nn.Module, batch: Batch, examples: Examples, how: Search) -> Columns:
    """Per example `predictions`, a text, and `is_cut` (N,): whether its end didn't come in time.

    Sources of like lengths are answered together, padded.
    """
    if examples.decode is None or examples.end is None:
        raise ValueError("these examples were not made for writing: they can't be decoded")
    rows: list[list[int]] = [[]] * len(batch.rows)
    is_cut = np.zeros(len(batch.rows), dtype=bool)
    for part in sources_alike(batch, model.config, max(1, MAX_TEXTS // how.num_beams)):
        numbers = numbers_of(examples, batch.rows[part.documents]).tolist()
        ids = written(model, part, numbers, how, examples.end)
        for document, tokens in zip(part.documents, ids[:, 1:].tolist(), strict=True):
            rows[document], is_cut[document] = until(tokens, examples.end)
    return {"predictions": examples.decode(rows), "is_cut": is_cut}


def sources_alike(batch: Batch, config: Any, most: int) -> Iterator[Rectangle]:
    """The batch's sources, those of like lengths together, at most so many."""
    return rectangles(batch, config, max_padding=MAX_PADDING, most=most)


def written(model: nn.Module, part: Rectangle, rows: list[int], how: Search, end: int) -> Tensor:
    """Token ids for each source of a rectangle, a start token first; padding after the end."""
    config: Any = model.config
    how = replace(how, max_new_tokens=min(how.max_new_tokens, longest_document(config) or how.max_new_tokens))
    inputs = {"input_ids": part.source_ids, "attention_mask": part.source_mask}
    with masked_attention(model):
        return search(model, inputs, rows, how, end, start_token=start_token(config))
