"""Texts that a decoder writes behind a prompt: batches to learn them from, their likelihood, and writing them.

Shape letters: N examples, P positions, S longest prompt, T tokens of a batch.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

from bmtool.data.examples.targets import numbers_of
from bmtool.data.tokens import InMemoryTokens
from bmtool.models.decoding.search import MAX_TEXTS, masked_attention, search, until
from bmtool.models.families.batches import pack, packed_lengths_of
from bmtool.models.families.positions import longest_document

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from bmtool.contracts import Batch, Columns, Examples
    from bmtool.models.decoding.search import Search

#: Prompts that are answered together: a step of writing costs much the same for few and for many, and padding little.
MAX_PADDING = 0.5


def pack_answers(examples: Examples, rows: NDArray[np.int64]) -> Batch:
    """Pack examples of `bmtool.data.examples.continued`, each of which sees itself alone, and looks back only.

    With answers, targets of the batch are `positions` (P,) of the tokens that predict, and `labels` (P,), what follows
    them: each token that is learned, whatever its id. The term `cross_entropy` counts P.
    """
    batch = replace(pack(examples, rows), is_causal=True)
    if "learned" not in examples.columns:
        return batch
    flags = InMemoryTokens(examples.columns["learned"])
    places = np.flatnonzero(flags.gather(examples.columns["learned_starts"][rows], packed_lengths_of(examples, rows)))
    labels = batch.input_ids[0][places]
    targets = {"positions": torch.from_numpy(places - 1), "labels": labels}
    return replace(batch, targets=targets, counts={"cross_entropy": len(places)})


def go_on(model: nn.Module, batch: Batch, examples: Examples, how: Search) -> Columns:
    """Per example `predictions`, the text that the model writes, and `is_cut` (N,): whether its end didn't come.

    Prompts of like lengths are answered together, padded on their left. No text gets longer than the model has
    positions for.
    """
    if examples.decode is None or examples.end is None:
        raise ValueError("these examples were not made for writing: they can't be decoded")
    rows: list[list[int]] = [[]] * len(batch.rows)
    is_cut = np.zeros(len(batch.rows), dtype=bool)
    with masked_attention(model):
        for part, inputs in prompts_alike(batch, examples, how):
            numbers = numbers_of(examples, batch.rows[part]).tolist()
            ids = gone_on(model, inputs, numbers, how, examples.end)
            for document, tokens in zip(part, ids[:, inputs["input_ids"].shape[1] :].tolist(), strict=True):
                rows[document], is_cut[document] = until(tokens, examples.end)
    return {"predictions": examples.decode(rows), "is_cut": is_cut}


def prompts_alike(batch: Batch, examples: Examples, how: Search) -> Iterator[tuple[list[int], dict[str, Tensor]]]:
    """Documents whose prompts are of like lengths, and these (N, S), padded on their left, with their mask."""
    starts = batch.cu_seq_lens.tolist()
    lengths = examples.columns["prompt_lengths"][batch.rows].tolist()
    ids = batch.input_ids[0]
    padding = cast("int", examples.end)
    for part in _alike(lengths, max(1, MAX_TEXTS // how.num_beams)):
        yield part, _padded([ids[starts[one] : starts[one] + lengths[one]] for one in part], padding)


def gone_on(model: nn.Module, inputs: dict[str, Tensor], rows: list[int], how: Search, end: int) -> Tensor:
    """Token ids of prompts (N, S) and of what the model writes behind them; padding after the end."""
    config: Any = model.config
    longest = inputs["input_ids"].shape[1]
    room = (longest_document(config) or longest + how.max_new_tokens) - longest
    return search(model, inputs, rows, replace(how, max_new_tokens=min(how.max_new_tokens, room)), end)


def _alike(lengths: list[int], most: int) -> Iterator[list[int]]:
    """Documents by their length, at most so many and with little padding together; the longest is the last."""
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    start = tokens = 0
    for place, document in enumerate(order):
        tokens += lengths[document]
        if place - start == most or tokens < (1 - MAX_PADDING) * (place + 1 - start) * lengths[document]:
            yield order[start:place]
            start, tokens = place, lengths[document]
    if order:
        yield order[start:]


def _padded(prompts: list[Tensor], padding: int) -> dict[str, Tensor]:
    """Token ids and mask (N, S) of prompts with padding on their left."""
    ids = torch.nn.utils.rnn.pad_sequence(prompts, batch_first=True, padding_value=padding, padding_side="left")
    lengths = torch.tensor([len(prompt) for prompt in prompts], device=ids.device)
    places = torch.arange(ids.shape[1], device=ids.device)
    return {"input_ids": ids, "attention_mask": (places >= ids.shape[1] - lengths[:, None]).long()}
