"""When memory runs out in a step: say so by name, with the size of batch that would fit."""

from __future__ import annotations

import gc
import resource
import traceback
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from bmtool.errors import TryAgainError
from bmtool.train.machine.memory import trimmed_memory
from bmtool.train.weights.footprint import token_bytes, usable

if TYPE_CHECKING:
    from bmtool.errors import BmtoolError
    from bmtool.train.steps import Stepper

#: What torch's allocator for main memory says; it raises a plain RuntimeError.
_CPU_WORDS = "DefaultCPUAllocator"

#: A size that fits is a multiple of this.
_ROUND_TOKENS = 64


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch, or Python, got no more memory from the card or the machine."""
    return isinstance(error, torch.OutOfMemoryError | MemoryError) or (
        isinstance(error, RuntimeError) and _CPU_WORDS in str(error)
    )


def out_of_memory(stepper: Stepper, error: BaseException) -> BmtoolError:
    """The error that ends the run, from what is free once the step's tensors are gone."""
    step, training, device = stepper.state.step + 1, stepper.phase.training, stepper.device
    traceback.clear_frames(error.__traceback__)  # they hold what the step had come to
    stepper.weights.clear_gradients()
    gc.collect()
    gradient_bytes = 4 * sum(master.numel() for master in stepper.weights.masters.values())
    tried, window = training.batch_tokens, training.gradient_accumulation_steps
    of_token = token_bytes(stepper.model, stepper.weights.dtype, device, stepper.phase.train.packed_lengths)
    free = free_bytes(device)
    parts = 1 if stepper.weights.are_whole else stepper.world.size
    room = None if free is None else int(usable(device, parts=parts) * (free - gradient_bytes))
    size = fitting_tokens(tried, room, of_token)
    place = f"{device.type} is out of memory in step {step:,}: per_device_batch_tokens is {tried:,}"
    if size < training.max_seq_length:
        return TryAgainError(
            f"{place}, and what is free may not hold one text of max_seq_length {training.max_seq_length}. "
            f"Free some memory and run the same command, or lower max_seq_length, or take a smaller model"
        )
    processes = stepper.world.size
    batches = -(-tried * window // (size * processes)) * processes  # as many for each of them
    return TryAgainError(
        f"{place}. About {size:,} would fit: with per_device_batch_tokens: {size} and gradient_accumulation_steps: "
        f"{batches} a step has as many tokens as now (other settings, so that training begins "
        f"anew). Or free some memory: then the same command goes on from the last saved state"
    )


def fitting_tokens(tried: int, usable: int | None, bytes_a_token: int) -> int:
    """How many tokens a batch may have: at most half of what was tried, less if less memory is there for them."""
    fits = tried // 2
    if usable is not None:
        fits = min(fits, max(0, usable) // max(1, bytes_a_token))
    return fits // _ROUND_TOKENS * _ROUND_TOKENS


def free_bytes(device: torch.device) -> int | None:
    """What this process could still get; None where nobody says."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        return int(torch.cuda.mem_get_info(device)[0])
    with trimmed_memory():
        return min(memory_limits().values(), default=None)


def memory_limits() -> dict[str, int]:
    """What is free by each limit that this process has, by who sets it."""
    limits = {"the machine": _of_machine(), "the container": _of_container(), "ulimit -v": _of_process()}
    return {name: limit for name, limit in limits.items() if limit is not None}


def _of_machine() -> int | None:
    path = Path("/proc/meminfo")
    lines = path.read_text(encoding="ascii").splitlines() if path.is_file() else []
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:")), None)


def _of_container(group: Path = Path("/sys/fs/cgroup")) -> int | None:
    """Of the control group (version 2) that this process sees as the root.

    Pages of files that nobody has read for a while count as used there, and are the kernel's to take back.
    """
    paths = [group / name for name in ("memory.max", "memory.current", "memory.stat")]
    if not all(path.is_file() for path in paths):
        return None
    limit, used, counts = (path.read_text(encoding="ascii").strip() for path in paths)
    idle = next((int(line.split()[1]) for line in counts.splitlines() if line.startswith("inactive_file ")), 0)
    return int(limit) - int(used) + idle if limit.isdecimal() else None


def _of_process() -> int | None:
    """Of `ulimit -v`."""
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    path = Path("/proc/self/statm")
    if limit == resource.RLIM_INFINITY or not path.is_file():
        return None
    return limit - int(path.read_text(encoding="ascii").split()[0]) * resource.getpagesize()
