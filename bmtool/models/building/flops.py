"""How much arithmetic training takes: only what is needed, so that a share of the machine's peak means something.

Counted are the products of matrices with real tokens, attention inside documents, and the head where something is
predicted, with what of the last layer nothing else needs; forward, and backward once more for the gradient of a
matrix's input and once for that of its weights (Kaplan et al. 2020, "Scaling laws", section 2.1), where these are
needed: not below the first weight that is trained, nor of weights that stay as they are.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from bmtool.models.families.family import family_of
from bmtool.models.heads.several_heads import SeveralHeads

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from bmtool.contracts import Batch


@dataclass(frozen=True)
class Work:
    """Floating-point operations of a training step, by what they grow with."""

    per_token: float
    """Matrices of the backbone"""
    per_target: float
    """Matrices of the head, and of the last layer behind its attention"""
    per_pair: float
    """A layer's attention, for two tokens of one document; the mean over layers"""
    windows: tuple[int | None, ...]
    """How far tokens see in each layer, in tokens on both sides together; None: the whole document"""
    per_written: float | None = None
    """Matrices of the decoder, where tokens of text B run through it, and not through the encoder"""
    tasks: Mapping[str, Work] = field(default_factory=dict)
    """Of each of several tasks, whose batches go through its own head alone"""

    @classmethod
    def of(cls, model: nn.Module, *, trains: bool = True) -> Work:
        """What a model takes, by those of its weights that are to be trained; or forward alone."""
        if isinstance(model, SeveralHeads):
            tasks = {name: cls.of(model.of(name), trains=trains) for name in model.names}
            return replace(tasks[model.names[0]], tasks=tasks)
        config: Any = model.config
        backbone: Any = model.base_model
        passes = _passes(model, trains=trains)
        if getattr(config, "is_encoder_decoder", False):
            return cls._of_two(model, passes)
        inside = _products(backbone, passes)
        last = _products_from(backbone, family_of(model).alone(backbone), passes)
        heads = config.num_attention_heads
        width = heads * (getattr(config, "head_dim", None) or config.hidden_size // heads)
        sees_half = any(getattr(module, "is_causal", False) is True for module in backbone.modules())
        return cls(
            per_token=inside - last,
            per_target=_products(model, passes) - inside + last,
            per_pair=_attention_passes(backbone, passes) * 4.0 * width * (0.5 if sees_half else 1.0),
            windows=_windows(config, sees_half),
        )

    @classmethod
    def _of_two(cls, model: Any, passes: Mapping[nn.Module, int]) -> Work:
        """Of an encoder and a decoder with as many layers."""
        config = model.config
        width = config.num_attention_heads * (getattr(config, "head_dim", None) or 0) or config.hidden_size
        return cls(
            per_token=_products(model.get_encoder(), passes),
            per_target=_products(model.get_output_embeddings(), passes),
            per_pair=_attention_passes(model.base_model, passes) * 4.0 * width,
            windows=_windows(config, sees_half=False),
            per_written=_products(model.get_decoder(), passes),
        )

    def of_batch(self, batch: Batch) -> float:
        """Operations of one batch; of one of several tasks it goes through that task's head.

        0 where no token runs: what a head makes of features that are kept is next to nothing.
        """
        if not batch.num_tokens:
            return 0.0
        if self.tasks:
            return self.tasks[batch.task].of_batch(batch)
        if self.per_written is not None and batch.token_type_ids is not None:
            return self._of_two_sides(batch, batch.token_type_ids[0])
        lengths = batch.cu_seq_lens.diff().double()
        pairs = sum(_pairs(lengths, window) for window in self.windows)
        targets = batch.num_tokens if batch.reads_all else sum(batch.counts.values())
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


def _passes(model: nn.Module, *, trains: bool) -> dict[nn.Module, int]:
    """How often each matrix is multiplied with as many numbers as forward, in the order in which the class lists them.

    Forward; for the gradient of its weights, if they are trained; for that of its input, if anything before it is.
    GPT-2 calls its matrices Conv1D.
    """
    found: dict[nn.Module, int] = {}
    is_behind = False
    for module in model.modules():
        own = {name for name, one in module.named_parameters(recurse=False) if trains and one.requires_grad}
        if isinstance(module, nn.Linear) or type(module).__name__ == "Conv1D":
            found[module] = 1 + ("weight" in own) + is_behind
        if own and not list(module.children()):  # what a head adds by itself, such as a bias, stands behind its parts
            is_behind = True
    return found


def _products(module: nn.Module, passes: Mapping[nn.Module, int]) -> float:
    """Operations of a token in the matrices of a module. A pooler isn't counted."""
    return sum(
        2.0 * int(one.weight.numel()) * passes[one]
        for name, one in module.named_modules()
        if "pooler" not in name and one in passes
    )


def _products_from(backbone: nn.Module, first: nn.Module | None, passes: Mapping[nn.Module, int]) -> float:
    """The same of a module and of those behind it, in the order in which the class lists them."""
    modules = [module for name, module in backbone.named_modules() if "pooler" not in name]
    if first is None:
        return 0.0
    behind = modules[modules.index(first) :]
    return sum(_products(module, passes) for module in behind if not list(module.children()))


def _attention_passes(backbone: nn.Module, passes: Mapping[nn.Module, int]) -> float:
    """How often attention takes what it takes forward, in the mean of the layers: backward twice more, where it is."""
    inside = [passes[module] for module in backbone.modules() if module in passes]
    return 1.0 + 2.0 * sum(number > 1 for number in inside) / len(inside)


def _windows(config: Any, sees_half: bool) -> tuple[int | None, ...]:
    kinds = getattr(config, "layer_types", None)
    if not kinds:
        return (None,) * int(config.num_hidden_layers)
    width = getattr(config, "sliding_window", None)
    if width is not None and not sees_half:
        width = 2 * width + 1  # the configuration of an encoder has one side
    return tuple(width if kind == "sliding_attention" else None for kind in kinds)
