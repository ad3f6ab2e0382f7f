"""Run transformers models on packed batches: hidden states, a row of logits per document, logits per token.

Shape letters: C labels, D hidden width, N documents, P positions, T tokens, V vocabulary.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from bmtool.errors import ConfigError
from bmtool.models.attention import ATTENTION, register
from bmtool.models.cross_entropy import row_cross_entropy, summed_cross_entropy
from bmtool.models.families import family_of

if TYPE_CHECKING:
    from torch import Tensor, nn

    from bmtool.contracts import Batch


def require_packed(model: nn.Module) -> None:
    """Make sure that documents of a batch can't see each other.

    Raises:
        ConfigError: the model has another attention, or its family can't be packed.
    """
    config: Any = model.config
    family_of(model)
    attention = config._attn_implementation  # noqa: SLF001  transformers gives no public name for it
    if attention != ATTENTION:
        raise ConfigError(
            f"the model runs with attention '{attention}', in which packed documents see each other; "
            f"open it with bmtool.models.checkpoint.open_model(..., attention='packed')"
        )


def hidden_states(model: nn.Module, batch: Batch) -> Tensor:
    """The backbone's last hidden states, (T, D)."""
    require_packed(model)
    backbone: Any = model.base_model
    states: Tensor = backbone(**_inputs(model, batch)).last_hidden_state
    return states[0]


def document_logits(model: nn.Module, batch: Batch) -> Tensor:
    """The class's own document head, in float32: (N, C).

    An encoder's hidden states at the first token of each document go through its pooler and classifier. A decoder's
    score is read at each document's last token that isn't padding, as `ForSequenceClassification` classes do.
    """
    family = family_of(model)
    if family.pooled is None:
        decoder: Any = model
        rows = _last_tokens(batch, decoder.config.pad_token_id)
        return decoder.score(hidden_states(model, batch).index_select(0, rows)).float()  # type: ignore[no-any-return]
    require_packed(model)
    first = batch.cu_seq_lens[:-1].long()

    def one_row_a_document(_: nn.Module, __: Any, output: Any) -> Any:
        output.last_hidden_state = output.last_hidden_state[0].index_select(0, first).unsqueeze(1)
        return output

    hook = model.get_submodule(family.pooled).register_forward_hook(one_row_a_document)
    try:
        logits: Tensor = model(**_inputs(model, batch)).logits
    finally:
        hook.remove()
    if logits.shape[0] != len(batch.rows):
        raise AssertionError(f"{type(model).__name__} gave {logits.shape[0]} rows for {len(batch.rows)} documents")
    return logits.float()


def token_logits(model: nn.Module, batch: Batch) -> Tensor:
    """The class's own token head, in float32: (T, C)."""
    require_packed(model)
    logits: Tensor = model(**_inputs(model, batch)).logits
    return logits[0].float()


def lm_logits_at(model: nn.Module, batch: Batch, positions: Tensor) -> Tensor:
    """Token logits of a language model at some positions only: (P, V)."""
    features, weight, bias = _lm_head(model, batch, positions)
    return torch.nn.functional.linear(features, weight, bias)


def lm_loss_at(model: nn.Module, batch: Batch, positions: Tensor, labels: Tensor) -> Tensor:
    """The cross-entropy at `positions` (P,) with `labels` (P,), summed, in nats."""
    return summed_cross_entropy(*_lm_head(model, batch, positions), labels)


def lm_scores_at(model: nn.Module, batch: Batch, positions: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """At each of `positions` the cross-entropy in nats (P,), float32, and whether the best token is the label (P,)."""
    return row_cross_entropy(*_lm_head(model, batch, positions), labels)


def drop_attention_dropout(model: nn.Module) -> str:
    """Switch off dropout of attention probabilities; return why, or nothing if it was off already.

    Neither ATen's CPU flash kernel ("Currently do not support dropout > 0") nor torch's varlen kernel has it. The
    checkpoint's configuration keeps its value.
    """
    found = 0.0
    for module in model.modules():
        if not hasattr(module, "is_causal"):
            continue
        for name in ("dropout", "attn_dropout"):
            layer = getattr(module, name, None)
            if isinstance(layer, torch.nn.Dropout):
                found, layer.p = max(found, layer.p), 0.0
        rate = getattr(module, "attention_dropout", 0.0)
        if isinstance(rate, float) and rate:
            found = max(found, rate)
            module.attention_dropout = 0.0  # type: ignore[assignment]
    if not found:
        return ""
    return f"dropout of attention probabilities is off (the model asks for {found:g}): packed attention has none"


def set_dropout(model: nn.Module, ratio: float) -> None:
    """Set every dropout layer of the model to `ratio`; its configuration, what later stages read, stays as it is."""
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = ratio
        if isinstance(getattr(module, "attention_dropout", None), float):
            module.attention_dropout = ratio  # type: ignore[assignment]


def _inputs(model: nn.Module, batch: Batch) -> dict[str, Any]:
    first = family_of(model).first_position(model.config)
    return {
        "input_ids": batch.input_ids,
        "position_ids": batch.position_ids + first if first else batch.position_ids,
        "cu_seq_lens_q": batch.cu_seq_lens,
        "cu_seq_lens_k": batch.cu_seq_lens,
        "max_length_q": batch.max_length,
        "max_length_k": batch.max_length,
        "use_cache": False,
    }


def _last_tokens(batch: Batch, pad_token_id: int | None) -> Tensor:
    """(N,) where each document's last token is that isn't padding; its first token if all are."""
    starts, ends = batch.cu_seq_lens[:-1].long(), batch.cu_seq_lens[1:].long()
    if pad_token_id is None:
        return ends - 1
    places = torch.arange(batch.num_tokens, device=ends.device)
    seen = torch.where(batch.input_ids[0] == pad_token_id, -1, places).cummax(0).values
    return torch.maximum(seen[ends - 1], starts)


def _lm_head(model: nn.Module, batch: Batch, positions: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
    """Features at `positions` (P, D), the output matrix (V, D) and its bias (V,)."""
    rows = hidden_states(model, batch).index_select(0, positions)
    head: Any = model.get_output_embeddings()  # type: ignore[operator]
    return family_of(model).features(model, rows), head.weight, head.bias


__all__ = [
    "document_logits",
    "drop_attention_dropout",
    "hidden_states",
    "lm_logits_at",
    "lm_loss_at",
    "lm_scores_at",
    "register",
    "require_packed",
    "set_dropout",
    "token_logits",
]
