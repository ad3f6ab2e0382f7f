"""What `doctor` says of what computes: torch, the device, precision, threads, memory; chosen as a run chooses them."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from bmtool.commands.doctor.finding import note, ok, problem, refused
from bmtool.console import size_text
from bmtool.errors import ConfigError, TryAgainError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bmtool.commands.doctor.finding import Finding
    from bmtool.config.shared import Runtime

#: There where the driver of an NVIDIA card is loaded.
_DRIVER = Path("/proc/driver/nvidia/version")


def compute(runtime: Runtime, precisions: Mapping[str, str]) -> Iterator[Finding]:
    """All of it, with what `runtime` asks for; `precisions` are those asked for, by stage."""
    import torch

    with warnings.catch_warnings(record=True) as caught:  # torch warns of a driver that it can't use
        warnings.simplefilter("always")
        sees_cuda = torch.cuda.is_available()
    yield ok("torch", f"{torch.__version__}, {f'CUDA {torch.version.cuda}' if torch.version.cuda else 'without CUDA'}")
    if not sees_cuda and _DRIVER.is_file():
        text = "this machine has an NVIDIA driver, and torch finds no card"
        yield note("torch", ". ".join([text, *(str(one.message) for one in caught)]), _cuda_advice())
    yield from _device(runtime, precisions)
    yield from _compiler(runtime)
    yield from _threads(runtime)
    yield from _memory()


def _cuda_advice() -> str:
    import torch

    if torch.version.cuda is None:
        return "Install a build of torch with CUDA (https://pytorch.org/get-started/locally)"
    return "See whether CUDA_VISIBLE_DEVICES hides it, and whether the driver is new enough for this CUDA"


def _device(runtime: Runtime, precisions: Mapping[str, str]) -> Iterator[Finding]:
    from bmtool.train.machine.cards import look_at
    from bmtool.train.machine.device import pick_device
    from bmtool.train.machine.precision import pick_precision, short_name

    try:
        picked = [pick_device(runtime.device, rank) for rank in range(runtime.processes)]
    except ConfigError as error:
        yield refused("device", error)
        return
    device, reason = picked[0]
    shared = f", {runtime.processes} processes" if runtime.processes > 1 else ""
    yield ok("device", f"{device.type} ({reason}){shared}")
    for card in (look_at(one) for one, _ in picked if one.type == "cuda"):
        if card.is_busy:
            advice = "Wait for it with --wait 2h, or take another by CUDA_VISIBLE_DEVICES"
            yield problem("card", card.description, advice, exit_code=TryAgainError.exit_code)
        else:
            yield ok("card", card.description)
    for stage, wanted in precisions.items():
        dtype, reason = pick_precision(wanted, device)
        yield ok("precision", f"{f'{stage}: ' if stage else ''}{short_name(dtype)} ({reason})")


def _threads(runtime: Runtime) -> Iterator[Finding]:
    from bmtool.train.machine.device import busy_warning, other_running, pick_threads

    try:
        threads, reason = pick_threads(runtime.threads, runtime.processes)
    except ConfigError as error:
        yield refused("threads", error)
        return
    yield ok("threads", f"{threads} ({reason}) of {os.cpu_count()} processors")
    warning = busy_warning(threads * runtime.processes, other_running(), os.cpu_count() or 1)
    if warning:
        yield note("load", warning, "Wait for the others")
    else:
        yield ok("load", "there is room for all threads")


def _compiler(runtime: Runtime) -> Iterator[Finding]:
    """Whether torch can compile layers, tried on a few numbers, unless nothing will."""
    from bmtool.train.machine.device import pick_device
    from bmtool.train.weights.compiled_code import not_kept
    from bmtool.train.weights.compiling import fault_of_compiler

    if runtime.torch_compile == "never":
        yield ok("compiler", "not needed (runtime.torch_compile: never)")
        return
    try:
        device, _ = pick_device(runtime.device)
    except ConfigError:  # said of the device
        return
    with not_kept():
        fault = fault_of_compiler(device)
    is_asked_for = runtime.torch_compile == "always"
    advice = "Install a C++ compiler, such as g++ (for a GPU triton, too)"
    if not fault:
        when = (
            "" if is_asked_for or device.type == "cuda" else ", which it does on a CPU only with torch_compile: always"
        )
        yield ok("compiler", f"torch can compile layers here{when}")
    elif is_asked_for:
        text = f"{advice}, or set runtime.torch_compile to auto or never"
        yield problem("compiler", fault, text, exit_code=ConfigError.exit_code)
    else:
        yield note("compiler", f"{fault}. Layers run as they are", f"{advice}, for runtime.torch_compile: always")


def _memory() -> Iterator[Finding]:
    from bmtool.train.machine.memory import machine_bytes
    from bmtool.train.sizing.out_of_memory import memory_limits

    limits = memory_limits()
    total = size_text(machine_bytes())
    if not limits:
        yield ok("memory", total)
        return
    least = min(limits, key=limits.__getitem__)
    by = "" if least == "the machine" else f" (by {least})"
    yield ok("memory", f"{size_text(limits[least])} free{by} of {total}")
