"""A family that reads one text and writes another, packed: all sources of a batch in one row, all targets in another.

BART and its like: their attention is transformers' own, and positions are counted anew in each text. The batch is as in
`bmtool.models.families.encoder_decoder`. Shape letters: D hidden width, N documents, P positions, S tokens of all
sources, T tokens that the decoder reads.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from bmtool.models.attention.documents import ATTENTION, register
from bmtool.models.families.encoder_decoder import EncoderDecoder, lengths_of, start_token, written_head
from bmtool.models.families.one_row import require_own_attention
from bmtool.models.kernels.products import fast_products

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor, nn

    from bmtool.contracts import Batch
    from bmtool.models.heads.language_heads import LanguageHead


@dataclass(frozen=True)
class Row:
    """Stretches of a batch's documents, one after the other."""

    places: Tensor
    """int64 (T,), where in the batch each token stands"""
    position_ids: Tensor
    """int64 (T,), from 0 in each stretch"""
    cu_seq_lens: Tensor
    """int32 (N + 1,)"""
    max_length: int

    @classmethod
    def of(cls, starts: Tensor, lengths: Tensor) -> Row:
        """The stretches that begin at `starts` (N,) and have `lengths` (N,) tokens."""
        ends = lengths.cumsum(0)
        total = int(ends[-1])
        position_ids = torch.arange(total, device=starts.device)
        position_ids = position_ids - torch.repeat_interleave(ends - lengths, lengths, output_size=total)
        places = torch.repeat_interleave(starts, lengths, output_size=total) + position_ids
        borders = torch.nn.functional.pad(ends, (1, 0)).int()
        return cls(places, position_ids, borders, int(lengths.max()))


class TwoRows(EncoderDecoder):
    """BART and MBART: on both sides `embed_positions` take position ids, and attention is of transformers' kind."""

    pads: ClassVar = False

    def attention(self) -> str:  # type: ignore[override]  # a name, where the padded family has none
        """Our own."""
        register()
        return ATTENTION

    def check(self, model: nn.Module) -> None:
        """Refuse a class that gives labels, and a model in which documents would see each other."""
        super().check(model)
        require_own_attention(model)

    def language_head(self, model: nn.Module, batch: Batch, positions: Tensor) -> LanguageHead:
        """The decoder's head at `positions` (P,): tokens of type 1, of each document all but the last."""
        self.check(model)
        sources, targets = _rows(batch, model.config)
        states = _states(model.base_model, batch, sources, targets, start_token(model.config))
        return written_head(model, states, targets.places, positions)


def _rows(batch: Batch, config: Any) -> tuple[Row, Row]:
    """Sources, and what is read of targets, in the same order: equal lengths are neighbours."""
    sources, targets = lengths_of(batch, config)
    order = targets.argsort(stable=True)
    order = order[sources[order].argsort(stable=True)]
    starts = batch.cu_seq_lens.long()[:-1]
    # The last token of a target is only predicted.
    return Row.of(starts[order], sources[order]), Row.of((starts + sources)[order], targets[order] - 1)


def _states(backbone: Any, batch: Batch, sources: Row, targets: Row, start: int) -> Tensor:
    """The decoder's last hidden states, (T, D)."""
    ids = batch.input_ids[0]
    read = torch.where(targets.position_ids == 0, start, ids[targets.places])
    with _restarting(backbone, sources, targets), fast_products(backbone):
        encoded = backbone.encoder(
            input_ids=ids[sources.places][None], cu_seq_lens_q=sources.cu_seq_lens, max_length_q=sources.max_length
        )
        decoded = backbone.decoder(
            input_ids=read[None],
            encoder_hidden_states=encoded.last_hidden_state,
            cu_seq_lens_q=targets.cu_seq_lens,
            max_length_q=targets.max_length,
            use_cache=False,
        )
    states: Tensor = decoded.last_hidden_state
    return states[0]


@contextmanager
def _restarting(backbone: Any, sources: Row, targets: Row) -> Iterator[None]:
    """Positions begin anew in each text, and cross-attention knows where sources begin: transformers passes neither."""
    across = {"sources": (sources.cu_seq_lens, sources.max_length)}
    given: list[tuple[nn.Module, Mapping[str, Any]]] = [
        (backbone.encoder.embed_positions, {"position_ids": sources.position_ids}),
        (backbone.decoder.embed_positions, {"position_ids": targets.position_ids}),
        *((layer.encoder_attn, across) for layer in backbone.decoder.layers),
    ]
    with ExitStack() as stack:
        for module, more in given:
            hook = module.register_forward_pre_hook(partial(_with_more, more), with_kwargs=True)
            stack.callback(hook.remove)
        yield


def _with_more(more: Mapping[str, Any], _: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    return args, {**kwargs, **more}
