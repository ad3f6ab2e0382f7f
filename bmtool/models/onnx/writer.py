"""A model that writes in ONNX: a graph that says what each next token could be, and one that reads sources, if any.

The decoder keeps what it computed for earlier tokens (`past`), so that a further token costs one token's work; and what
it sees of the source is computed once, with the source. Shape letters: N rows, S longest source, U new tokens of each
row, P tokens before them, Y layers of the decoder, H heads, E width of a head, D hidden width, V vocabulary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from transformers.cache_utils import Cache, DynamicLayer, EncoderDecoderCache
from transformers.modeling_outputs import BaseModelOutput

from bmtool.models.families.encoder_decoder import start_token
from bmtool.models.onnx.export import write_onnx
from bmtool.models.onnx.model import DECODER_FILE, ENCODER_FILE

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

#: Tokens of the examples that graphs are traced with: different, so that no two axes are taken for one.
_TRACED = {"batch": 2, "source": 5, "new": 3, "past": 4}
#: An axis must have room for these.
_LEAST = 8


class _Layer(DynamicLayer):  # type: ignore[no-untyped-call]
    """Keys and values of a layer; how many there are is an axis of the graph, which may be 0."""

    def __init__(self, keys: Tensor, values: Tensor) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.lazy_initialization(keys, values)
        self.keys, self.values = keys, values

    def get_seq_length(self) -> int:
        keys: Any = self.keys
        return keys.shape[-2]  # type: ignore[no-any-return]  # a symbol while the graph is traced


def _cache(keys: Tensor, values: Tensor) -> Cache:
    """(N, Y, H, P, E) each."""
    pairs = zip(keys.unbind(1), values.unbind(1), strict=True)
    return Cache(layers=[_Layer(*pair) for pair in pairs])


def _stacked(cache: Cache) -> tuple[Tensor, Tensor]:
    layers: Any = cache.layers
    return torch.stack([layer.keys for layer in layers], 1), torch.stack([layer.values for layer in layers], 1)


class Reading(nn.Module):
    """Sources (N, S) and their mask to states (N, S, D), and keys and values of them (N, Y, H, S, E)."""

    def __init__(self, model: Any) -> None:
        """Wrap a transformers model."""
        super().__init__()
        self.model = model
        self.start = start_token(model.config)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What the decoder sees of a source; its own first token is only there to ask for it."""
        encoded = self.model.get_encoder()(input_ids=input_ids, attention_mask=attention_mask)
        states = encoded.last_hidden_state
        first = torch.full_like(input_ids[:, :1], self.start)
        given = self.model(
            encoder_outputs=BaseModelOutput(states),
            attention_mask=attention_mask,
            decoder_input_ids=first,
            use_cache=True,
        )
        return states, *_stacked(given.past_key_values.cross_attention_cache)


class Continuing(nn.Module):
    """New tokens (N, U) behind the past ones to their logits (N, U, V), and their keys and values (N, Y, H, U, E)."""

    def __init__(self, model: Any) -> None:
        """Wrap a transformers model."""
        super().__init__()
        self.model = model

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        states: Tensor,
        source_keys: Tensor,
        source_values: Tensor,
        past_keys: Tensor,
        past_values: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """`attention_mask` (N, S) is the source's; the past is (N, Y, H, P, E) with P from 0."""
        cache = EncoderDecoderCache(_cache(past_keys, past_values), _cache(source_keys, source_values))
        given = self.model(
            encoder_outputs=BaseModelOutput(states),
            attention_mask=attention_mask,
            decoder_input_ids=input_ids,
            past_key_values=cache,
            use_cache=True,
        )
        keys, values = _stacked(cache.self_attention_cache)
        first = past_keys.shape[3]
        return given.logits, keys[:, :, :, first:], values[:, :, :, first:]


class GoingOn(nn.Module):
    """As `Continuing`, of a decoder alone."""

    def __init__(self, model: Any) -> None:
        """Wrap a transformers model."""
        super().__init__()
        self.model = model

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor, position_ids: Tensor, past_keys: Tensor, past_values: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """`attention_mask` (N, P + U) leaves out padding on the left; `position_ids` are (N, U)."""
        cache = _cache(past_keys, past_values)
        given = self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=cache,
            use_cache=True,
        )
        keys, values = _stacked(cache)
        first = past_keys.shape[3]
        return given.logits, keys[:, :, :, first:], values[:, :, :, first:]


def write_writer(model: Any, folder: Path, *, max_seq_length: int, max_new_tokens: int) -> None:
    """Write a model that writes so much for any number of sources, or behind prompts, of up to `max_seq_length` tokens.

    An encoder-decoder becomes `encoder.onnx` and `decoder.onnx`, a decoder alone `decoder.onnx`. New tokens may come
    one by one or several at a time.
    """
    if model.config.is_encoder_decoder:
        _write_both(model, folder, max_seq_length, max_new_tokens)
    else:
        _write_decoder(model, folder, max_seq_length + max_new_tokens)


def _write_both(model: Any, folder: Path, max_seq_length: int, max_new_tokens: int) -> None:
    reading, continuing = Reading(model), Continuing(model)
    sizes = _TRACED
    ids = torch.ones((sizes["batch"], sizes["source"]), dtype=torch.int64)
    # One tensor given twice would be taken for one input.
    mask = torch.ones_like(ids)
    with torch.no_grad():
        states, keys, values = reading(ids, mask)
    batch = torch.export.Dim("batch", min=1, max=2**20)
    source = torch.export.Dim("source", min=1, max=max(_LEAST, max_seq_length))
    new = torch.export.Dim("new", min=1, max=max(_LEAST, max_new_tokens))
    past = torch.export.Dim("past", min=0, max=max(_LEAST, max_new_tokens))
    rows, inner = {0: batch, 1: source}, {0: batch, 3: source}
    write_onnx(
        reading,
        folder / ENCODER_FILE,
        inputs={"input_ids": (ids, rows), "attention_mask": (mask, rows)},
        outputs=["states", "source_keys", "source_values"],
    )
    before = [tensor[:, :, :, : sizes["past"]].clone() for tensor in (keys, values)]
    inputs: Mapping[str, Any] = {
        "input_ids": (ids[:, : sizes["new"]].clone(), {0: batch, 1: new}),
        "attention_mask": (mask, rows),
        "states": (states, rows),
        "source_keys": (keys, inner),
        "source_values": (values, inner),
        "past_keys": (before[0], {0: batch, 3: past}),
        "past_values": (before[1], {0: batch, 3: past}),
    }
    write_onnx(continuing, folder / DECODER_FILE, inputs=inputs, outputs=["logits", "new_keys", "new_values"])


def _write_decoder(model: Any, folder: Path, max_tokens: int) -> None:
    size, longest = _TRACED["past"] + _TRACED["new"], max(_LEAST, max_tokens)
    ids = torch.ones((_TRACED["batch"], size), dtype=torch.int64)
    with torch.no_grad():
        keys, values = _stacked(model(input_ids=ids, attention_mask=ids, use_cache=True).past_key_values)
    batch = torch.export.Dim("batch", min=1, max=2**20)
    new = torch.export.Dim("new", min=1, max=longest)
    past = torch.export.Dim("past", min=0, max=longest)
    before = [tensor[:, :, :, : _TRACED["past"]].clone() for tensor in (keys, values)]
    tokens = torch.ones((_TRACED["batch"], _TRACED["new"]), dtype=torch.int64)
    inputs: Mapping[str, Any] = {
        "input_ids": (tokens, {0: batch, 1: new}),
        "attention_mask": (ids, {0: batch, 1: torch.export.Dim.AUTO}),
        "position_ids": (tokens.clone(), {0: batch, 1: new}),
        "past_keys": (before[0], {0: batch, 3: past}),
        "past_values": (before[1], {0: batch, 3: past}),
    }
    write_onnx(GoingOn(model), folder / DECODER_FILE, inputs=inputs, outputs=["logits", "new_keys", "new_values"])
