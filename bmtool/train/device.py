"""Choose the device and the number of threads, the same way every time on the same machine, and say why."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from bmtool.data.processors import usable_processors
from bmtool.errors import ConfigError

if TYPE_CHECKING:
    from bmtool.config.shared import Runtime

_STAT = Path("/proc/stat")


def pick_device(wanted: str) -> tuple[torch.device, str]:
    """The device and why: `auto` is the first GPU if there is one.

    Raises:
        ConfigError: `cuda` is asked for and isn't there.
    """
    if wanted == "cpu":
        return torch.device("cpu"), "asked for"
    if torch.cuda.is_available():
        return torch.device("cuda", 0), "asked for" if wanted == "cuda" else torch.cuda.get_device_name(0)
    if wanted == "cuda":
        raise ConfigError("runtime.device: cuda is asked for, and torch finds no GPU. Set it to auto or cpu")
    return torch.device("cpu"), "no GPU"


def pick_threads(wanted: int | None) -> tuple[int, str]:
    """How many threads torch computes with, and why.

    Never by the machine's load: the order in which sums are added depends on the number of threads, and so do results.

    Raises:
        ConfigError: OMP_DYNAMIC lets OpenMP start fewer threads than torch counts on. With it, torch 2.13 gave bfloat16
            matrix products with values that aren't finite in 50 of 60 tries, and in none without it.
    """
    if os.environ.get("OMP_DYNAMIC", "").strip().lower() in ("true", "1"):
        raise ConfigError("OMP_DYNAMIC is set in the environment: torch's matrix products come out wrong. Unset it")
    if wanted is not None:
        return wanted, "asked for"
    return usable_processors()


def set_up(runtime: Runtime) -> tuple[torch.device, dict[str, str]]:
    """Set torch's threads and return the device; the choices with their reasons are for the log and the summary."""
    device, device_reason = pick_device(runtime.device)
    threads, threads_reason = pick_threads(runtime.threads)
    torch.set_num_threads(threads)
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
