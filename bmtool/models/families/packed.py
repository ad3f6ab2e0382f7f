"""Run transformers models on packed batches: hidden states, a row of logits per document, logits per token.

A model that can't be packed runs padded inside; batch and answers are the same. Shape letters: C labels, D hidden
width, N documents, P positions, T tokens, V vocabulary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import torch

from bmtool.errors import ConfigError
from bmtool.models.families.family import FAMILIES, family_of
from bmtool.models.families.one_row import OneRow
from bmtool.models.heads.several_heads import SeveralHeads

if TYPE_CHECKING:
    from torch import Tensor, nn

    from bmtool.contracts import Batch
    from bmtool.models.heads.language_heads import LanguageHead


def require_packed(model: nn.Module) -> None:
    """Make sure that documents of a batch can't see each other.

    Raises:
        ConfigError: the model has another attention; or it can be neither packed nor padded.
    """
    for one in model.tasks if isinstance(model, SeveralHeads) else [model]:
        family_of(one).check(one)


def padding_note(model: nn.Module) -> str:
    """A line for the log on a model that runs padded; empty for one that is packed."""
    config: Any = model.config
    if not family_of(model).pads:
        return ""
    return f"a '{config.model_type}' model can't be packed: texts of about equal length run together, padded"


def hidden_states(model: nn.Module, batch: Batch) -> Tensor:
    """The backbone's last hidden states, (T, D)."""
    return family_of(model).states(model, batch)


def document_logits(model: nn.Module, batch: Batch) -> Tensor:
    """The class's own document head, in float32: (N, C)."""
    logits = family_of(model).document_logits(model, batch)
    if logits.shape[0] != len(batch.rows):
        raise AssertionError(f"{type(model).__name__} gave {logits.shape[0]} rows for {len(batch.rows)} documents")
    return logits.float()


def document_rows(model: nn.Module, batch: Batch) -> Tensor:
    """What the class's own document head reads of each document, as the backbone gives it: (N, D).

    Raises:
        ConfigError: the model runs padded, and what its head reads isn't known.
    """
    return _one_row(model).document_rows(model, batch)


def logits_from(model: nn.Module, rows: Tensor) -> Tensor:
    """The class's own document head on `rows` (N, D) of `document_rows`, in float32: (N, C). No layer is run."""
    return _one_row(model).logits_from(model, rows).float()


def _one_row(model: nn.Module) -> OneRow:
    family, config = family_of(model), cast("Any", model.config)
    if not isinstance(family, OneRow):
        raise ConfigError(
            f"what the head of a '{config.model_type}' model reads isn't known, so it can't be kept. Known are "
            f"{', '.join(FAMILIES)}"
        )
    return family


def token_logits(model: nn.Module, batch: Batch) -> Tensor:
    """The class's own token head, in float32: (T, C)."""
    return family_of(model).token_logits(model, batch).float()


def lm_logits_at(model: nn.Module, batch: Batch, positions: Tensor) -> Tensor:
    """Token logits of a language model at some positions only, ascending: (P, V)."""
    return family_of(model).language_head(model, batch, positions).logits()


def lm_loss_at(model: nn.Module, batch: Batch, positions: Tensor, labels: Tensor, smoothing: float = 0.0) -> Tensor:
    """The cross-entropy at `positions` (P,), ascending, with `labels` (P,), summed, in nats.

    `smoothing` of each label is shared out among all tokens alike.
    """
    return family_of(model).language_head(model, batch, positions).loss(labels, smoothing)


def lm_scores_at(model: nn.Module, batch: Batch, positions: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """At each of `positions` the cross-entropy in nats (P,), float32, and whether the best token is the label (P,)."""
    return family_of(model).language_head(model, batch, positions).scores(labels)


def pair_heads_at(model: nn.Module, batch: Batch, positions: Tensor) -> tuple[LanguageHead, Tensor]:
    """What a model says of pairs of texts: tokens at `positions` (P,), and whether B follows A, (N, 2) in float32.

    Column 0 says that it does, as in BertForPreTraining.

    Raises:
        ConfigError: the model has no such head.
    """
    head, pairs = family_of(model).pair_heads(model, batch, positions)
    return head, pairs.float()


def drop_attention_dropout(model: nn.Module) -> str:
    """Switch off dropout of attention probabilities; return why, or nothing if it was off already.

    Neither ATen's CPU flash kernel ("Currently do not support dropout > 0") nor torch's varlen kernel has it. The
    checkpoint's configuration keeps its value. A model that runs padded has its own attention, and keeps its dropout.
    """
    if family_of(model).pads:
        return ""
    found = 0.0
    for module in model.modules():
        if not hasattr(module, "is_causal"):
            continue
        for name in ("dropout", "attn_dropout"):
            layer = getattr(module, name, None)
            if isinstance(layer, torch.nn.Dropout):
                found, layer.p = max(found, layer.p), 0.0
        for name in ("dropout", "attention_dropout"):
            rate = getattr(module, name, 0.0)
            if isinstance(rate, float) and rate:
                found = max(found, rate)
                setattr(module, name, 0.0)
    if not found:
        return ""
    return f"dropout of attention probabilities is off (the model asks for {found:g}): packed attention has none"


def set_dropout(model: nn.Module, ratio: float) -> None:
    """Set every dropout of the model to `ratio`; its configuration, what later stages read, stays as it is.

    Some classes have no layers for it but numbers, such as BART and the attention of T5.
    """
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = ratio
        for name in ("dropout", "attention_dropout", "activation_dropout"):
            if isinstance(getattr(module, name, None), float):
                setattr(module, name, ratio)


__all__ = [
    "document_logits",
    "document_rows",
    "drop_attention_dropout",
    "hidden_states",
    "lm_logits_at",
    "lm_loss_at",
    "lm_scores_at",
    "logits_from",
    "padding_note",
    "pair_heads_at",
    "require_packed",
    "set_dropout",
    "token_logits",
]
