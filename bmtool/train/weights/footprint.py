"""How many bytes training holds: weights and what belongs to them, and what tokens leave for the backward pass."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bmtool.models.attention.self_attention import SHORT_TOKENS, kept_probabilities
from bmtool.train.weights.layers import is_hidden, layers_of, levels

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray
    from torch import nn

#: Of the memory for a batch so much is in use at once: blocks of different sizes leave gaps, and on a CPU kernels that
#: are kept lie between them. Fitted to what docs/training.md has under "Memory"; not measured on a GPU.
_USABLE = {"cpu": 0.57, "cuda": 0.8}

#: What the kernels take that oneDNN keeps, up to 1,024, by how long the longest of the short documents may be: found
#: after 30 steps of BERT 4x256, and with up to 128 tokens also after 260 of 2x128.
_KERNEL_BYTES = {128: 100e6, SHORT_TOKENS: 280e6}

#: What is there of a layer on the way back besides what was kept: gradients of what it kept.
_ON_THE_WAY = 4 / 3


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


def usable(device: torch.device, *, parts: int = 1) -> float:
    """How much of the memory for a batch is in use at once, where `parts` processes share out the weights.

    On a CPU freed blocks are then the kernel's again (`bmtool.train.machine.memory.release_memory`), and leave no gaps.
    """
    return 1.0 if device.type == "cpu" and parts > 1 else _USABLE[device.type]


def saved_bytes(model: nn.Module, state: dict[str, int], *, parts: int = 1, keeps_best: bool = False) -> int:
    """Bytes of main memory of the first process while all that `state` (of `state_bytes`) has a part of is saved."""
    trained = sum(one.numel() for one in model.parameters() if one.requires_grad)
    return 4 * trained * (2 if keeps_best else 1) + parts * state["optimizer"]


def _gathered(model: nn.Module) -> int:
    """How many weights are whole at once where processes share them out: those of a layer, and those outside."""
    layers = [sum(one.numel() for one in layer.parameters()) for layer in layers_of(model)]
    outside = sum(one.numel() for one in model.parameters()) - sum(layers)
    return outside + max(layers, default=0)


def token_bytes(model: nn.Module, dtype: torch.dtype, device: torch.device, lengths: NDArray[np.integer]) -> int:
    """What a token takes in a step, roughly, where documents have these lengths.

    It is what it leaves for the way back, and on that way what a layer needs besides: attention's probabilities, their
    gradients and those of scores are float32 there. Layers below the first weight that is trained leave nothing.
    """
    config: Any = model.config
    trained = {name for name, one in model.named_parameters() if one.requires_grad}
    found = levels(name for name, _ in model.named_parameters())
    top = max(found.values(), default=1)  # above the layers
    lowest = min((level for name, level in found.items() if name in trained), default=top)
    learning = config.num_hidden_layers * (top - max(1, lowest)) / max(1, top - 1)
    probabilities = kept_probabilities(model, lengths) if device.type == "cpu" else 0.0
    kept = learning * probabilities + (learning + min(learning, _ON_THE_WAY)) * numbers_of_layer(config)
    return int(dtype.itemsize * kept + min(learning, 1) * 3 * 4 * probabilities)


def kernel_bytes(longest: int) -> int:
    """What compiled kernels take on a CPU, where documents have up to `longest` tokens."""
    return int(np.interp(longest, list(_KERNEL_BYTES), list(_KERNEL_BYTES.values())))


def numbers_of_layer(config: Any) -> int:
    """How many numbers a token leaves in a layer: 8 hidden widths and twice the inner one.

    Korthikanti et al. 2022, "Reducing activation recomputation", section 4.1, without dropout masks and without
    attention's matrix.
    """
    hidden: int = config.hidden_size
    inner: int = getattr(config, "intermediate_size", None) or getattr(config, "n_inner", None) or 4 * hidden
    return 8 * hidden + 2 * inner
