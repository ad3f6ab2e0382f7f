"""How much arithmetic training takes: only what is needed, so that a share of the machine's peak means something.

Counted are the products of matrices with real tokens, attention inside documents, and the head where something is
predicted, with what of the last layer nothing else needs; forward, and twice as much backward (Kaplan et al. 2020,
"Scaling laws", section 2.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from bmtool.models.families import family_of

if TYPE_CHECKING:
    from torch import Tensor

    from bmtool.contracts import Batch

#: Forward, and the gradients of inputs and of weights.
_PASSES = 3


@dataclass(frozen=True)
class Work:
    """Floating-point operations of a training step, by what they grow with."""

    per_token: float
    """Matrices of the backbone"""
    per_target: float
    """Matrices of the head, and of the last layer behind its attention"""
    per_pair: float
    """A layer's attention, for two tokens of one document"""
    windows: tuple[int | None, ...]
    """How far tokens see in each layer, in tokens on both sides together; None: the whole document"""
    per_written: float | None = None
    """Matrices of the decoder, where tokens of text B run through it, and not through the encoder"""

    @classmethod
    def of(cls, model: nn.Module) -> Work:
        """What a transformers model takes."""
        config: Any = model.config
        backbone: Any = model.base_model
        if getattr(config, "is_encoder_decoder", False):
            return cls._of_two(model)
        inside = _matrices(backbone)
        last = _matrices_from(backbone, family_of(model).alone(backbone))
        heads = config.num_attention_heads
        width = heads * (getattr(config, "head_dim", None) or config.hidden_size // heads)
        sees_half = any(getattr(module, "is_causal", False) is True for module in backbone.modules())
        return cls(
            per_token=_PASSES * 2.0 * (inside - last),
            per_target=_PASSES * 2.0 * (_matrices(model) - inside + last),
            per_pair=_PASSES * 4.0 * width * (0.5 if sees_half else 1.0),
            windows=_windows(config, sees_half),
        )

    @classmethod
    def _of_two(cls, model: Any) -> Work:
        """Of an encoder and a decoder with as many layers."""
        config = model.config
        reading, writing = _matrices(model.get_encoder()), _matrices(model.get_decoder())
        width = config.num_attention_heads * (getattr(config, "head_dim", None) or 0) or config.hidden_size
        return cls(
            per_token=_PASSES * 2.0 * reading,
            per_target=_PASSES * 2.0 * _matrices(model.get_output_embeddings()),
            per_pair=_PASSES * 4.0 * width,
            windows=_windows(config, sees_half=False),
            per_written=_PASSES * 2.0 * writing,
        )

    def of_batch(self, batch: Batch) -> float:
        """Operations of one batch, forward and backward."""
        if self.per_written is not None and batch.token_type_ids is not None:
            return self._of_two_sides(batch, batch.token_type_ids[0])
        lengths = batch.cu_seq_lens.diff().double()
        pairs = sum(_pairs(lengths, window) for window in self.windows)
        targets = sum(batch.counts.values())
        return self.per_token * batch.num_tokens + self.per_target * targets + self.per_pair * pairs

    def _of_two_sides(self, batch: Batch, types: Tensor) -> float:
        """Sources see themselves; what is written sees what is before it, and the source. Its last token isn't read."""
        lengths = batch.cu_seq_lens.diff().double()
        owners = torch.repeat_interleave(torch.arange(len(lengths), device=types.device), batch.cu_seq_lens.diff())
        ends = torch.zeros_like(lengths).index_add(0, owners, types.double())
        sources, written = lengths - ends, ends - 1
        pairs = len(self.windows) * float((sources**2 + written**2 / 2 + sources * written).sum())
        tokens = self.per_token * float(sources.sum()) + (self.per_written or 0.0) * float(written.sum())
        return tokens + self.per_target * sum(batch.counts.values()) + self.per_pair * pairs


def _pairs(lengths: Tensor, window: int | None) -> float:
    seen = lengths if window is None else lengths.clamp(max=window)
    return float((lengths * seen).sum())


def _matrices(module: nn.Module) -> int:
    """Numbers in matrices that tokens are multiplied with; GPT-2 calls its matrices Conv1D. A pooler isn't counted."""
    return sum(
        int(one.weight.numel())
        for name, one in module.named_modules()
        if "pooler" not in name and (isinstance(one, nn.Linear) or type(one).__name__ == "Conv1D")
    )


def _matrices_from(backbone: nn.Module, first: nn.Module | None) -> int:
    """The same of a module and of those behind it, in the order in which the class lists them."""
    modules = [module for name, module in backbone.named_modules() if "pooler" not in name]
    if first is None:
        return 0
    return sum(_matrices(module) for module in modules[modules.index(first) :] if not list(module.children()))


def _windows(config: Any, sees_half: bool) -> tuple[int | None, ...]:
    kinds = getattr(config, "layer_types", None)
    if not kinds:
        return (None,) * int(config.num_hidden_layers)
    width = getattr(config, "sliding_window", None)
    if width is not None and not sees_half:
        width = 2 * width + 1  # the configuration of an encoder has one side
    return tuple(width if kind == "sliding_attention" else None for kind in kinds)
