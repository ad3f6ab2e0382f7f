"""Don't crowd a GPU that others compute on: name them and refuse it, or wait. This has not been run on a GPU yet."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from bmtool.errors import TryAgainError, stopped

if TYPE_CHECKING:
    from collections.abc import Callable

    from bmtool.console import Console
    from bmtool.contracts import Stop

#: A card is free if others hold less than this share of its memory: a desktop takes some.
_FREE_RATIO = 0.1

#: What the look itself takes: a CUDA context of this process.
_CONTEXT_BYTES = 1024**3

_POLL_SECONDS = 5.0


@dataclass(frozen=True)
class Card:
    """A GPU as it is now."""

    name: str
    total_bytes: int
    used_bytes: int
    """By all processes"""
    processes: tuple[int, ...] = ()
    """Those of others, as far as NVML shows them: in a container it shows none"""

    @property
    def is_busy(self) -> bool:
        """Whether others compute on it."""
        return self.used_bytes - _CONTEXT_BYTES > _FREE_RATIO * self.total_bytes

    @property
    def description(self) -> str:
        """`NVIDIA A10 (cuda:0): 20.1 of 24.0 GB are used, by process 4711`."""
        used, total = self.used_bytes / 1e9, self.total_bytes / 1e9
        by = f", by process {', '.join(map(str, self.processes))}" if self.processes else ""
        return f"{self.name}: {used:.1f} of {total:.1f} GB are used{by}"


def look_at(device: torch.device) -> Card:
    """The card as it is now; with the package nvidia-ml-py also who uses it."""
    torch.cuda.empty_cache()  # what an earlier stage of this command left is no one else's
    free, total = torch.cuda.mem_get_info(device)
    used = total - free - torch.cuda.memory_reserved(device)
    return Card(f"{torch.cuda.get_device_name(device)} ({device})", total, used, _others(device))


def wait_for_card(
    look: Callable[[], Card], wait_seconds: float, console: Console, stop: Stop, *, poll_seconds: float = _POLL_SECONDS
) -> None:
    """Return once the card is free.

    Raises:
        TryAgainError: it is busy, and still is after `wait_seconds`.
        StoppedError: asked to stop meanwhile.
    """
    deadline = time.monotonic() + wait_seconds
    card = look()
    if card.is_busy and wait_seconds:
        console.say(f"waiting up to {wait_seconds:.0f} s for {card.description}")
    while card.is_busy:
        if stop.reason:
            raise stopped(stop.reason, "nothing was begun")
        if time.monotonic() >= deadline:
            hint = "" if wait_seconds else ". Wait for it with --wait 2h, or take another by CUDA_VISIBLE_DEVICES"
            raise TryAgainError(f"the card is busy: {card.description}{hint}")
        time.sleep(min(poll_seconds, max(0.0, deadline - time.monotonic())))
        card = look()


def _others(device: torch.device) -> tuple[int, ...]:
    """Processes of others on the card; torch asks NVML through the package nvidia-ml-py, which may not be there."""
    try:
        import pynvml
    except ImportError:
        return ()
    pynvml.nvmlInit()
    try:
        uuid = f"GPU-{torch.cuda.get_device_properties(device).uuid}"
        handle = pynvml.nvmlDeviceGetHandleByUUID(uuid)
        running = pynvml.nvmlDeviceGetComputeRunningProcesses(handle)
    except pynvml.NVMLError:  # a slice of a card, or no right to see: the message has no names then
        return ()
    finally:
        pynvml.nvmlShutdown()
    return tuple(sorted(one.pid for one in running if one.pid != os.getpid()))
