"""Choose the device and the number of threads, the same way every time on the same machine, and say why."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from bmtool.data.processors import usable_processors
from bmtool.errors import ConfigError
from bmtool.train.machine.memory import keep_kernels_once, keep_memory

if TYPE_CHECKING:
    from bmtool.config.shared import Runtime

_STAT = Path("/proc/stat")


def pick_device(wanted: str, local_rank: int = 0) -> tuple[torch.device, str]:
    """The device and why: `auto` is a GPU if there is one, a GPU of its own for each process on this machine.

    Raises:
        ConfigError: `cuda` is asked for and isn't there; or there are more processes than GPUs.
    """
    if wanted == "cpu":
        return torch.device("cpu"), "asked for"
    if torch.cuda.is_available():
        if local_rank >= torch.cuda.device_count():
            raise ConfigError(
                f"runtime.processes: each process needs a GPU of its own, and there are {torch.cuda.device_count()}. "
                f"Lower it, or set runtime.device to cpu"
            )
        device = torch.device("cuda", local_rank)
        return device, "asked for" if wanted == "cuda" else torch.cuda.get_device_name(device)
    if wanted == "cuda":
        raise ConfigError("runtime.device: cuda is asked for, and torch finds no GPU. Set it to auto or cpu")
    return torch.device("cpu"), "no GPU"


def pick_threads(wanted: int | None, local_size: int = 1) -> tuple[int, str]:
    """How many threads torch computes with, and why; the processes on this machine share its processors.

    Never by the machine's load: the order in which sums are added depends on the number of threads, and so do results.

    Raises:
        ConfigError: OMP_DYNAMIC lets OpenMP start fewer threads than torch counts on. With it, torch 2.13 gave bfloat16
            matrix products with values that aren't finite in 50 of 60 tries, and in none without it.
    """
    if os.environ.get("OMP_DYNAMIC", "").strip().lower() in ("true", "1"):
        raise ConfigError("OMP_DYNAMIC is set in the environment: torch's matrix products come out wrong. Unset it")
    if wanted is not None:
        return wanted, "asked for"
    processors, reason = usable_processors()
    if local_size == 1:
        return processors, reason
    return max(1, processors // local_size), f"{reason}, shared by {local_size} processes"


def set_up(runtime: Runtime, local_rank: int = 0, local_size: int = 1) -> tuple[torch.device, dict[str, str]]:
    """Set torch's threads and return the device; the choices with their reasons are for the log and the summary."""
    device, device_reason = pick_device(runtime.device, local_rank)
    threads, threads_reason = pick_threads(runtime.threads, local_size)
    torch.set_num_threads(threads)
    if device.type == "cpu":
        keep_memory()
        keep_kernels_once()
    return device, {"device": f"{device.type} ({device_reason})", "threads": f"{threads} ({threads_reason})"}


def busy_warning(threads: int, others: int, processors: int) -> str:
    """A sentence if more wants to compute than there are processors for; empty if not. No fault: `-q` hides it."""
    if others + threads <= processors:
        return ""
    rivals = f"{others} other running {'process' if others == 1 else 'processes'}"
    return f"the machine is busy ({rivals} and {threads} threads for {processors} processors): training will be slow"


def other_running() -> int:
    """How many processes and threads besides this one compute right now: the median of five looks in 0.1 s.

    The load average won't do: it still holds what this very command did a minute ago. 0 where there is no /proc/stat.
    """
    looks = []
    for _ in range(5):
        if not _STAT.is_file():
            return 0
        running = next(
            line for line in _STAT.read_text(encoding="ascii").splitlines() if line.startswith("procs_running")
        )
        looks.append(int(running.split()[1]) - 1)
        time.sleep(0.02)
    return max(0, sorted(looks)[len(looks) // 2])
