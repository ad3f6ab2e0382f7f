"""A family of models that read one text and write another, such as T5, run padded.

A packed batch's document is a source and, with token type 1, what is to be written: a start token, then the target. The
sources of a rectangle are padded to one length and their targets to another. Shape letters: D hidden width, N
documents, P positions, S longest source, T tokens, U longest target.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch

from bmtool.errors import ConfigError
from bmtool.models.families.one_row import no_pairs
from bmtool.models.heads.language_heads import LanguageHead, LinearHead

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn

    from bmtool.contracts import Batch

#: Documents run together while at most this share of their two rectangles is padding, as in `padded_rows`.
MAX_PADDING = 0.35


@dataclass(frozen=True)
class Rectangle:
    """Some of a batch's documents, as a model takes them."""

    documents: list[int]
    """Which of the batch's documents, (N,)"""
    source_ids: Tensor
    """int64 (N, S)"""
    source_mask: Tensor
    """int64 (N, S), 1 at real tokens"""
    target_places: Tensor
    """int64 (N, U), where in the batch each token stands that the decoder reads; -1 for padding"""
    target_ids: Tensor
    """int64 (N, U)"""


class EncoderDecoder:
    """Any `ForConditionalGeneration` class of transformers whose logits are a product with its output embeddings."""

    pads: ClassVar = True
    is_decoder: ClassVar = False

    def attention(self) -> None:
        """What transformers chooses."""

    def alone(self, backbone: Any, /) -> None:
        """All tokens run through all of the model."""

    def check(self, model: nn.Module) -> None:
        """Refuse a class that gives labels: what it reads there isn't known."""
        if not type(model).__name__.endswith(("ForConditionalGeneration", "MTModel")):
            raise self._only_writes(model)

    def states(self, model: nn.Module, batch: Batch) -> Tensor:
        """None."""
        del batch
        raise self._only_writes(model)

    document_logits = token_logits = states

    def pair_heads(self, model: nn.Module, batch: Batch, positions: Tensor) -> tuple[LanguageHead, Tensor]:
        """None."""
        del batch, positions
        raise no_pairs(model)

    def language_head(self, model: nn.Module, batch: Batch, positions: Tensor) -> LanguageHead:
        """The decoder's head at `positions` (P,): tokens of type 1, of each document all but the last."""
        features, places = [], []
        for part in rectangles(batch, model.config):
            is_real = part.target_places >= 0
            features.append(_features(model, part)[is_real])
            places.append(part.target_places[is_real])
        return written_head(model, torch.cat(features), torch.cat(places), positions)

    @staticmethod
    def _only_writes(model: nn.Module) -> ConfigError:
        config: Any = model.config
        return ConfigError(
            f"a '{config.model_type}' model has an encoder and a decoder; bmtool trains it for translation and "
            f"summarization. Use an encoder, such as bert, or a decoder, such as gpt, for other tasks"
        )


def _features(model: nn.Module, part: Rectangle) -> Tensor:
    """What the output embeddings are multiplied with, (N, U, D), as the class computes it; no logits are made."""
    found: list[Tensor] = []

    def take(_: nn.Module, inputs: tuple[Tensor, ...]) -> Any:
        found.append(inputs[0])
        return (inputs[0][:, :0], *inputs[1:])

    layer: Any = model.get_output_embeddings()  # type: ignore[operator]
    hook = layer.register_forward_pre_hook(take)
    try:
        model(
            input_ids=part.source_ids,
            attention_mask=part.source_mask,
            decoder_input_ids=part.target_ids,
            decoder_attention_mask=(part.target_places >= 0).long(),
            use_cache=False,
        )
    finally:
        hook.remove()
    return found[0]


def written_head(model: nn.Module, features: Tensor, places: Tensor, positions: Tensor) -> LinearHead:
    """The head at `positions` (P,), from features (T, D) that stand at `places` (T,) of the batch, in any order."""
    order = places.argsort()
    wanted = order[torch.searchsorted(places[order], positions)]
    layer: Any = model.get_output_embeddings()  # type: ignore[operator]
    return LinearHead(features.index_select(0, wanted), layer.weight, _bias(model, layer))


def lengths_of(batch: Batch, config: Any) -> tuple[Tensor, Tensor]:
    """Tokens of each document's source and of its target, start and end included: (N,) each.

    Raises:
        ConfigError: the batch is of plain texts.
    """
    types = batch.token_type_ids
    if types is None:
        raise ConfigError(f"a '{config.model_type}' model needs sources and targets; these are plain texts")
    borders = batch.cu_seq_lens.long()
    marks = torch.nn.functional.pad(types[0].cumsum(0), (1, 0))
    targets = marks[borders[1:]] - marks[borders[:-1]]
    return borders.diff() - targets, targets


def _bias(model: Any, layer: Any) -> Tensor | None:
    """What is added to logits; BART keeps it in a buffer of zeros."""
    parts = [layer.bias] if getattr(layer, "bias", None) is not None else []
    if getattr(model, "final_logits_bias", None) is not None:
        parts.append(model.final_logits_bias[0].to(layer.weight.dtype))
    return torch.stack(parts).sum(dim=0) if parts else None


def rectangles(
    batch: Batch, config: Any, *, max_padding: float = MAX_PADDING, most: int | None = None
) -> Iterator[Rectangle]:
    """The batch's documents by length of their sources, each rectangle with at most so much padding.

    `most` is how many documents one has at most; None: any number.
    """
    sources, targets = (lengths.tolist() for lengths in lengths_of(batch, config))
    order = sorted(range(len(sources)), key=lambda document: (sources[document], targets[document]))
    start = tokens = longest = 0
    for place, document in enumerate(order):
        # The last token of a target is only predicted. Sources are sorted, so that this one is the longest.
        own = sources[document] + targets[document] - 1
        longest_then = max(longest, targets[document] - 1)
        area = (place + 1 - start) * (sources[document] + longest_then)
        is_full = most is not None and place - start >= most
        if place > start and (is_full or tokens + own < (1 - max_padding) * area):
            yield _rectangle(batch, config, order[start:place], sources, targets)
            start, tokens, longest = place, own, targets[document] - 1
        else:
            tokens, longest = tokens + own, longest_then
    if order:
        yield _rectangle(batch, config, order[start:], sources, targets)


def _rectangle(batch: Batch, config: Any, documents: list[int], sources: list[int], targets: list[int]) -> Rectangle:
    device = batch.input_ids.device
    ids = batch.input_ids[0]
    starts = batch.cu_seq_lens.long()[torch.tensor(documents, device=device)]
    own, written = (torch.tensor([all_[i] for i in documents], device=device) for all_ in (sources, targets))
    source_places = _places(starts, own)
    target_places = _places(starts + own, (written - 1).clamp(min=1))
    padding = config.pad_token_id or 0
    target_ids = torch.where(target_places < 0, padding, ids[target_places.clamp(min=0)])
    target_ids[:, 0] = start_token(config)
    return Rectangle(
        documents=documents,
        source_ids=torch.where(source_places < 0, padding, ids[source_places.clamp(min=0)]),
        source_mask=(source_places >= 0).long(),
        target_places=target_places,
        target_ids=target_ids,
    )


def _places(starts: Tensor, lengths: Tensor) -> Tensor:
    """(N, longest) places of the tokens of each row, -1 behind its end."""
    inside = torch.arange(int(lengths.max()), device=starts.device)
    return torch.where(inside < lengths[:, None], starts[:, None] + inside, -1)


def start_token(config: Any) -> int:
    """What the decoder reads first: transformers takes `decoder_start_token_id`, else `bos_token_id`.

    Raises:
        ConfigError: the configuration says neither.
    """
    for name in ("decoder_start_token_id", "bos_token_id"):
        token = getattr(config, name, None)
        if token is not None:
            return int(token)
    raise ConfigError(f"the configuration of this '{config.model_type}' model lacks decoder_start_token_id")
