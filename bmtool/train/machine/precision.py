"""Choose the number format that a model computes in, by what the hardware can do and never by a timing."""

from __future__ import annotations

import torch


def pick_precision(wanted: str, device: torch.device) -> tuple[torch.dtype, str]:
    """The compute type and why, for the log and the manifest.

    `auto` takes bfloat16 where the hardware multiplies it natively, else float32: elsewhere it is emulated, and
    was measured six times slower than float32.
    """
    capable, reason = _has_bf16(device)
    if wanted == "fp32":
        return torch.float32, "asked for"
    if wanted == "bf16":
        return torch.bfloat16, "asked for" + ("" if capable else f", though it is slow here: {reason}")
    if wanted != "auto":
        raise ValueError(f"unknown precision '{wanted}'")
    return (torch.bfloat16 if capable else torch.float32), reason


def short_name(dtype: torch.dtype) -> str:
    """`bf16` or `fp32`, as settings and manifests call it."""
    return {torch.bfloat16: "bf16", torch.float32: "fp32"}[dtype]


def _has_bf16(device: torch.device) -> tuple[bool, str]:
    if device.type == "cuda":
        major, minor = torch.cuda.get_device_capability(device)
        return (major, minor) >= (8, 0), f"compute capability {major}.{minor}"
    # torch has no public name for these two yet; an older or newer one without them means float32.
    for name, label in (("_is_amx_tile_supported", "AMX"), ("_is_avx512_bf16_supported", "avx512_bf16")):
        probe = getattr(torch.cpu, name, None)
        if probe is not None and probe():
            return True, f"the processor has {label}"
    return False, "the processor has neither AMX nor avx512_bf16"
