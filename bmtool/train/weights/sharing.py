"""Whether each process of a run holds the whole model or some rows of each weight, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from bmtool.config.sharing import unshareable
from bmtool.errors import ConfigError
from bmtool.models.heads.several_heads import SeveralHeads
from bmtool.train.machine.memory import machine_bytes
from bmtool.train.weights.footprint import state_bytes
from bmtool.train.weights.sharded import ShardedWeights
from bmtool.train.weights.whole import WholeWeights

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    from bmtool.train.machine.world import World
    from bmtool.train.weights.base import Weights

#: Weights, gradients and the optimizer's state may take so much of the memory of a card, or of a process's share of the
#: machine's, before they are shared out; the rest is for activations. From about 1 B weights on a card of 40 GB.
COMFORTABLE = 0.5


def pick_sharing(
    wanted: str, model: nn.Module, optim: str, dtype: torch.dtype, device: torch.device, world: World
) -> tuple[int, str]:
    """Among how many processes a float32 model on the CPU is shared out, the same in all of them, and why.

    Raises:
        ConfigError: rows are asked for (`always`), and the optimizer needs whole matrices, or heads take turns.
    """
    there = memory_bytes(device, world.local_size)
    is_sharded, reason = is_shared_out(
        wanted, model, optim, dtype, processes=world.size, there=lambda: min(world.gathered(there))
    )
    return (world.size, f"sharded ({reason})") if is_sharded else (1, f"whole ({reason})")


def take_over(model: nn.Module, dtype: torch.dtype, device: torch.device, world: World, *, parts: int) -> Weights:
    """This process's weights of a float32 model on the CPU."""
    if parts > 1:
        return ShardedWeights.of(model, dtype, world, device)
    return WholeWeights.of(model.to(device), dtype, world)


def is_shared_out(
    wanted: str, model: nn.Module, optim: str, dtype: torch.dtype, *, processes: int, there: Callable[[], int]
) -> tuple[bool, str]:
    """Whether processes share out the weights, and why; `there` gives the bytes of the one that has least, if asked.

    Raises:
        ConfigError: see `pick_sharing`.
    """
    if processes == 1:
        return False, "one process"
    if wanted == "never":
        return False, "asked for"
    short, advice = unshareable(optim, has_several_tasks=isinstance(model, SeveralHeads))
    if short and wanted == "always":
        raise ConfigError(f"runtime.fsdp: {advice}")
    if short:
        return False, short
    if wanted == "always":
        return True, "asked for"
    needed, most = sum(state_bytes(model, dtype, optim).values()), there()
    place = f"{needed / 1e9:,.1f} of {most / 1e9:,.1f} GB"
    return needed > COMFORTABLE * most, f"with its optimizer {place} of each process"


def memory_bytes(device: torch.device, local_size: int) -> int:
    """Of a card, or of a process's share of the machine's."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).total_memory)
    return machine_bytes() // local_size
