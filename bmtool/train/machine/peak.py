"""How fast this machine multiplies matrices: what a training step's speed is held against, measured once and kept."""

from __future__ import annotations

import json
import os
import platform
import time
from typing import TYPE_CHECKING

import torch

from bmtool.artifacts.files import write_json
from bmtool.models.kernels.products import pick_library, product, told_by_processor

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

FILE = "matmul_peaks.json"

#: A square product of this width fills caches and pipelines of a processor, and of a GPU.
_WIDTHS = {"cpu": 2048, "cuda": 8192}
_SECONDS = 0.25


def matmul_peak(device: torch.device, dtype: torch.dtype, cache: Path | None) -> float:
    """Operations a second of square products, with as many threads as torch has now.

    They are multiplied as a training's large matrices are (`bmtool.models.kernels.products`). It is measured in a
    quarter of a second, and kept in `cache` for this processor, library, number of threads, type and torch. On a
    processor CPU time counts, not the clock's: what is measured beside other programs is kept too, and must not be too
    low.
    """
    key = f"{machine_name(device, dtype)}, {torch.get_num_threads()} threads, {dtype}, torch {torch.__version__}"
    path = cache / FILE if cache is not None else None
    known = _known(path)
    if key not in known:
        known[key] = _measure(device, dtype)
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, known)
    return known[key]


def _known(path: Path | None) -> dict[str, float]:
    """What was measured before; nothing if that can't be read: it is measured again."""
    try:
        known = {} if path is None else json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        known = {}
    return known if isinstance(known, dict) else {}


def _measure(device: torch.device, dtype: torch.dtype) -> float:
    width = _WIDTHS.get(device.type, 2048)
    generator = torch.Generator().manual_seed(0)  # the run's own random numbers are left alone
    one, other = (torch.randn(width, width, generator=generator).to(device, dtype) for _ in range(2))
    finish: Callable[[], None] = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    is_shared = device.type == "cpu"
    clock, share = (time.process_time, torch.get_num_threads()) if is_shared else (time.perf_counter, 1)
    with torch.no_grad():
        product(one, other)  # what is done once, and the processor's clock going up, isn't counted
        finish()
        count, started, spent = 0, clock(), 0.0
        while spent < _SECONDS * share:
            product(one, other)
            finish()
            count, spent = count + 1, clock() - started
    return 2.0 * width**3 * count * share / spent


def machine_name(device: torch.device, dtype: torch.dtype) -> str:
    """What products in `dtype` are made by: a GPU, or a processor and the library on it."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    isa = os.environ.get("ONEDNN_MAX_CPU_ISA", "")
    library = f" with {pick_library()[0]}" if dtype == torch.float32 else ""
    processor = told_by_processor("model name") or platform.processor() or platform.machine()
    return f"{processor}{f' restricted to {isa}' if isa else ''}{library}"
