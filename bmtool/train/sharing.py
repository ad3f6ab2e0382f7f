"""Whether each process of a run holds the whole model or some rows of each weight, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from bmtool.errors import ConfigError
from bmtool.models.several_heads import SeveralHeads
from bmtool.train.estimate import state_bytes
from bmtool.train.memory import machine_bytes
from bmtool.train.sharded import ShardedWeights
from bmtool.train.whole import WholeWeights

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    from bmtool.train.weights import Weights
    from bmtool.train.world import World

#: Weights, gradients and the optimizer's state may take so much of the memory of a card, or of a process's share of the
#: machine's, before they are shared out; the rest is for activations. From about 1 B weights on a card of 40 GB.
COMFORTABLE = 0.5


def pick_sharing(
    wanted: str, model: nn.Module, optim: str, dtype: torch.dtype, device: torch.device, world: World
) -> tuple[Callable[[], Weights], str]:
    """How this process takes over a float32 model on the CPU, the same in all of them, and why.

    Raises:
        ConfigError: rows are asked for (`always`), and the optimizer needs whole matrices, or heads take turns.
    """
    is_sharded, reason = _choice(wanted, model, optim, dtype, device, world)
    if is_sharded:
        return lambda: ShardedWeights.of(model, dtype, world, device), f"sharded ({reason})"
    return lambda: WholeWeights.of(model.to(device), dtype, world), f"whole ({reason})"


def _choice(
    wanted: str, model: nn.Module, optim: str, dtype: torch.dtype, device: torch.device, world: World
) -> tuple[bool, str]:
    if world.size == 1:
        return False, "one process"
    if wanted == "never":
        return False, "asked for"
    if optim == "muon":  # it makes a whole matrix of gradients orthogonal
        if wanted == "always":
            raise ConfigError(
                "runtime.fsdp: always lets each process hold some rows of a weight, and optim muon needs whole "
                "matrices. Set optim to adamw, or runtime.fsdp to never"
            )
        return False, "muon needs whole matrices"
    if isinstance(model, SeveralHeads):  # processes whose batches are of different tasks have gradients of other heads
        if wanted == "always":
            raise ConfigError(
                "runtime.fsdp: always adds up gradients that all processes have, and with several tasks each has those "
                "of the heads that it used. Set runtime.fsdp to never, or fine-tune the tasks apart"
            )
        return False, "several heads"
    if wanted == "always":
        return True, "asked for"
    needed = sum(state_bytes(model, dtype, optim).values())
    there = min(world.gathered(_memory_bytes(device, world.local_size)))
    place = f"{needed / 1e9:,.1f} of {there / 1e9:,.1f} GB"
    return needed > COMFORTABLE * there, f"with its optimizer {place} of each process"


def _memory_bytes(device: torch.device, local_size: int) -> int:
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return machine_bytes() // local_size
