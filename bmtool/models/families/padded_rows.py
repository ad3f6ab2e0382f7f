"""A family whose documents run padded: each in a row of its own, beside others of about its length.

For models that can't be packed, such as DeBERTa, whose attention is its own. The batch comes packed and so do the
answers. Shape letters: C labels, D hidden width, L longest document, N documents, P positions, T tokens.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar
from weakref import WeakKeyDictionary

import numpy as np
import torch
from torch import nn

from bmtool.contracts import Batch
from bmtool.errors import ConfigError
from bmtool.models.families.one_row import no_pairs
from bmtool.models.heads.head_outputs import logits_of
from bmtool.models.heads.language_heads import LanguageHead, LogitsHead

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

#: Neighbours in a batch run together while at most this share of their rectangle is padding. Batches are sorted by
#: length, so that a few rectangles hold one. Measured with DeBERTa 4x256 on batches of 4,096 tokens, documents up to
#: 512, tokens per second of one Zen 4 core: 5 % 1,748 in 15 rectangles a batch, 15 % 1,946 in 8, 30 % 1,546 in 4, and
#: 408 all in one. Batches of about one length, which `bmtool.train.order.plan` can make, took 1 / 1.13 of the time at
#: 15 %.
MAX_PADDING = 0.15

#: Two documents of these lengths show whether padding changes a model's answers, and by how much they may differ.
PROBE_LENGTHS, PROBE_TOLERANCE = (7, 3), 1e-4


class PaddedRows:
    """Any model of transformers that takes token ids and an attention mask."""

    pads: ClassVar = True

    @property
    def is_decoder(self) -> bool:
        """Not known: these are encoders, as far as bmtool can tell."""
        return False

    def attention(self) -> None:
        """What transformers chooses."""

    def alone(self, backbone: Any, /) -> None:
        """All tokens run through all of the model."""

    def check(self, model: nn.Module) -> None:
        """Refuse a model whose answers depend on padding: try it on two short documents.

        Convolutions and Fourier transforms mix padding in, whatever the mask says.
        """
        config: Any = model.config
        batch = _probe(config)
        try:
            padded, *rows = _try(model, batch, *_one_by_one(batch))
        except (RuntimeError, ValueError, IndexError, TypeError, AttributeError, NotImplementedError) as error:
            raise ConfigError(
                f"a '{config.model_type}' model can't be run on token ids and an attention mask: {error}"
            ) from error
        alone = torch.cat(rows)
        difference = float((alone - padded).abs().max())
        if not difference <= PROBE_TOLERANCE * max(1.0, float(alone.abs().max())):
            raise ConfigError(
                f"a '{config.model_type}' model gives other answers when a text is padded (they differ by "
                f"{difference:.2g}), and it can't be packed. Use another architecture, such as bert"
            )

    def states(self, model: nn.Module, batch: Batch) -> Tensor:
        """The backbone's last hidden states, (T, D)."""
        backbone: Any = model.base_model
        return torch.cat([_flat(backbone(**_inputs(model, part)), part) for part in rectangles(batch)])

    def document_logits(self, model: nn.Module, batch: Batch) -> Tensor:
        """The class's own document head: (N, C)."""
        return torch.cat([model(**_inputs(model, part)).logits for part in rectangles(batch)])

    def token_logits(self, model: nn.Module, batch: Batch) -> Tensor:
        """The class's own token head: (T, C)."""
        logits = [(logits_of(model(**_inputs(model, part))), part) for part in rectangles(batch)]
        return torch.cat([_tokens(values, part) for values, part in logits])

    def language_head(self, model: nn.Module, batch: Batch, positions: Tensor) -> LanguageHead:
        """The class's own logits at `positions` (P,), which are ascending.

        Raises:
            ConfigError: the batch is causal, and the model sees what comes after a token.
        """
        if batch.is_causal:
            _require_looking_back(model)
        logits, end = [], 0
        for part in rectangles(batch):
            start, end = end, end + part.num_tokens
            inside = positions[(positions >= start) & (positions < end)] - start
            logits.append(_logits_at(model, part, inside))
        return LogitsHead(torch.cat(logits))

    def pair_heads(self, model: nn.Module, batch: Batch, positions: Tensor) -> tuple[LanguageHead, Tensor]:
        """None."""
        del batch, positions
        raise no_pairs(model)


#: What was found out about models, as long as they are there.
_LOOKS_BACK: WeakKeyDictionary[nn.Module, bool] = WeakKeyDictionary()


def _require_looking_back(model: nn.Module) -> None:
    """Refuse a model in which a token sees those after it: change the last one, and see what becomes of the others."""
    if model not in _LOOKS_BACK:
        config: Any = model.config
        one = next(_one_by_one(_probe(config)))
        other = replace(one, input_ids=one.input_ids.clone())
        other.input_ids[0, -1] = other.input_ids[0, 0]
        first, second = _try(model, one, other)
        _LOOKS_BACK[model] = float((first - second)[:-1].abs().max()) <= PROBE_TOLERANCE
    if not _LOOKS_BACK[model]:
        raise ConfigError(
            f"a {type(model).__name__} that runs padded sees the words that it shall predict. "
            f"Use objective mlm, or a decoder such as gpt"
        )


def _try(model: nn.Module, *batches: Batch) -> list[Tensor]:
    """Hidden states (T, D) of each batch, run as one rectangle, without dropout and without gradients."""
    backbone: Any = model.base_model
    training = model.training
    model.train(mode=False)
    try:
        with torch.no_grad():
            return [_flat(backbone(**_inputs(model, batch)), batch) for batch in batches]
    finally:
        model.train(mode=training)


def rectangles(batch: Batch) -> Iterator[Batch]:
    """The batch in parts, neighbours together as long as at most `MAX_PADDING` of a part's rectangle is padding."""
    borders = batch.cu_seq_lens.tolist()
    lengths = [end - start for start, end in itertools.pairwise(borders)]
    start = longest = tokens = 0
    for document, length in enumerate(lengths):
        longest_then = max(longest, length)
        area = longest_then * (document + 1 - start)
        if document > start and tokens + length < (1 - MAX_PADDING) * area:
            yield _part(batch, start, document, borders)
            start, longest, tokens = document, length, length
        else:
            longest, tokens = longest_then, tokens + length
    if lengths:
        yield _part(batch, start, len(lengths), borders)


def _part(batch: Batch, first: int, last: int, borders: list[int]) -> Batch:
    """The documents from `first` to before `last`, without targets."""
    tokens = slice(borders[first], borders[last])
    return replace(
        batch,
        input_ids=batch.input_ids[:, tokens],
        position_ids=batch.position_ids[:, tokens],
        token_type_ids=None if batch.token_type_ids is None else batch.token_type_ids[:, tokens],
        cu_seq_lens=batch.cu_seq_lens[first : last + 1] - borders[first],
        max_length=max(end - start for start, end in itertools.pairwise(borders[first : last + 1])),
        rows=batch.rows[first:last],
        targets={},
        counts={},
    )


def _one_by_one(batch: Batch) -> Iterator[Batch]:
    borders = batch.cu_seq_lens.tolist()
    return (_part(batch, document, document + 1, borders) for document in range(len(borders) - 1))


def _places(batch: Batch) -> Tensor:
    """(T,) where each token is among the N x L of the padded rows."""
    starts = batch.cu_seq_lens.long()
    documents = torch.arange(len(batch.rows), device=starts.device)
    return batch.position_ids[0] + torch.repeat_interleave(documents, starts.diff()) * batch.max_length


def _inputs(model: nn.Module, batch: Batch) -> dict[str, Tensor]:
    """Right-padded rows (N, L). Position ids are left out: each class has its own way to count."""
    config: Any = model.config
    places = _places(batch)

    def padded(values: Tensor, padding: int) -> Tensor:
        rows = values.new_full((len(batch.rows) * batch.max_length,), padding)
        return rows.index_copy_(0, places, values).view(len(batch.rows), batch.max_length)

    ids = batch.input_ids[0]
    inputs = {
        "input_ids": padded(ids, getattr(config, "pad_token_id", None) or 0),
        "attention_mask": padded(torch.ones_like(ids), 0),
    }
    if batch.token_type_ids is not None:
        inputs["token_type_ids"] = padded(batch.token_type_ids[0], 0)
    return inputs


def _tokens(values: Tensor, batch: Batch) -> Tensor:
    """Values of padded rows (N, L, ...) of the real tokens alone, (T, ...)."""
    return values.flatten(0, 1).index_select(0, _places(batch))


def _flat(output: Any, batch: Batch) -> Tensor:
    return _tokens(output.last_hidden_state, batch)


def _logits_at(model: nn.Module, batch: Batch, positions: Tensor) -> Tensor:
    """(P, V), where the class has an output layer computed at `positions` only."""
    rows = _places(batch).index_select(0, positions)

    def chosen(_: nn.Module, inputs: tuple[Tensor, ...]) -> Any:
        return (inputs[0].flatten(0, -2).index_select(0, rows), *inputs[1:])

    layer: Any = model.get_output_embeddings()  # type: ignore[operator]
    hook = layer.register_forward_pre_hook(chosen) if layer is not None else None
    try:
        logits: Tensor = model(**_inputs(model, batch)).logits
    finally:
        if hook is not None:
            hook.remove()
    # Some classes multiply with the matrix themselves, and never call the layer: then all logits are there.
    return logits if logits.ndim == 2 else logits.flatten(0, 1).index_select(0, rows)


def _probe(config: Any) -> Batch:
    longest, shortest = PROBE_LENGTHS
    padding = getattr(config, "pad_token_id", None) or 0
    ids = torch.arange(longest + shortest) * 7 % config.vocab_size
    positions = torch.cat([torch.arange(longest), torch.arange(shortest)])
    return Batch(
        input_ids=torch.where(ids == padding, (padding + 1) % config.vocab_size, ids)[None],
        position_ids=positions[None],
        cu_seq_lens=torch.tensor([0, longest, longest + shortest], dtype=torch.int32),
        max_length=longest,
        rows=np.arange(2),
        targets={},
        counts={},
    )
