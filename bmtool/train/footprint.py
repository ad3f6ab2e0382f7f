"""How many bytes training holds: weights and what belongs to them, and what tokens leave for the backward pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bmtool.train.layers import is_hidden, layers_of, levels

if TYPE_CHECKING:
    import torch
    from torch import nn


def state_bytes(model: nn.Module, dtype: torch.dtype, optim: str, *, parts: int = 1) -> dict[str, int]:
    """Bytes of `weights`, `gradients` and `optimizer` in a process, of which `parts` share them out.

    Then those of one layer, and those outside of layers, are there while they are computed with.
    """
    trained = {name: one for name, one in model.named_parameters() if one.requires_grad}
    count = sum(one.numel() for one in trained.values())
    all_weights = sum(one.numel() for one in model.parameters())
    is_copied = dtype.itemsize < 4
    gathered = all_weights if is_copied else 0
    # AdamW keeps two moments in float32; Muon one, of the matrices that it moves.
    muon = [one for name, one in trained.items() if optim == "muon" and one.ndim == 2 and is_hidden(name)]
    moments = 2 * count - sum(one.numel() for one in muon)
    held = {"weights": 4 * all_weights, "gradients": 4 * count, "optimizer": 4 * moments}
    if parts > 1:
        gathered = _gathered(model)
        held = {what: -(-size // parts) for what, size in held.items()}
    # In float32, and for a moment in the type of the computation.
    moment = min(count, gathered) * dtype.itemsize if is_copied or parts > 1 else 0
    return held | {
        "weights": held["weights"] + gathered * dtype.itemsize,
        "gradients": held["gradients"] + moment,
    }


def _gathered(model: nn.Module) -> int:
    """How many weights are whole at once where processes share them out: those of a layer, and those outside."""
    layers = [sum(one.numel() for one in layer.parameters()) for layer in layers_of(model)]
    outside = sum(one.numel() for one in model.parameters()) - sum(layers)
    return outside + max(layers, default=0)


def kept_bytes(model: nn.Module, itemsize: int) -> int:
    """What a token leaves for the backward pass, roughly, in numbers of `itemsize` bytes.

    Layers below the first weight that is trained leave nothing. A third more than is kept was measured, BERT 4x256 in
    float32 (88 kB a token): the gradients of a layer on the way.
    """
    config: Any = model.config
    trained = {name for name, one in model.named_parameters() if one.requires_grad}
    found = levels(name for name, _ in model.named_parameters())
    top = max(found.values(), default=1)  # above the layers
    lowest = min((level for name, level in found.items() if name in trained), default=top)
    learning = (top - max(1, lowest)) / max(1, top - 1)
    return itemsize * int(learning * config.num_hidden_layers * numbers_of_layer(config) * 4 / 3)


def numbers_of_layer(config: Any) -> int:
    """How many numbers a token leaves in a layer: 8 hidden widths and twice the inner one.

    Korthikanti et al. 2022, "Reducing activation recomputation", section 4.1, without dropout masks and without
    attention's matrix. That is kept for short documents on a CPU (`bmtool.models.short_documents`), a number a head and
    token of the document, and isn't counted.
    """
    hidden: int = config.hidden_size
    inner: int = getattr(config, "intermediate_size", None) or getattr(config, "n_inner", None) or 4 * hidden
    return 8 * hidden + 2 * inner
