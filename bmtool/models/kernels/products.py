"""Products of large float32 matrices on a CPU, by the library that is at its best on the processor.

torch gives them to MKL, which doesn't use AVX-512 on AMD's processors and is slower than oneDNN there without it, too.
torch has no setting for it, but an operator that inductor calls: `mkldnn::_linear_pointwise`. Measured on a Zen 5 core,
BERT 4x256 with 2,752 tokens a step, pairs of steps in turn: 40 % less CPU time with AVX-512, and 6 % with AVX2. The
processor decides, and no timing: a run that goes on on the same machine computes the same bits.

Shape letters: K inputs, N outputs, R rows.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from functools import lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F

from bmtool.models.kernels.compiled import interpreted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor, nn

#: Smaller products stay with torch. oneDNN compiles a kernel for each new number of rows in 0.2 to 0.35 ms. With 480
#: tokens a step of 4x256 took 4.6 % less with AVX2 (31 % with AVX-512) from 2^27 operations, 3.3 % (9 %) from 2^28.
MIN_OPERATIONS = 2**27


@lru_cache(maxsize=1)
def pick_library() -> tuple[str, str]:
    """`oneDNN` or `torch`, what multiplies large float32 matrices on this machine's processor, and why."""
    if told_by_processor("vendor_id") != "AuthenticAMD":
        return "torch", "not a processor of AMD"
    if getattr(torch.ops.mkldnn, "_linear_pointwise", None) is None:
        return "torch", f"torch {torch.__version__} has no mkldnn::_linear_pointwise"
    return "oneDNN", "a processor of AMD"


def told_by_processor(name: str) -> str:
    """What the processor says of itself, such as its `vendor_id`; nothing where the system doesn't tell."""
    path = Path("/proc/cpuinfo")
    if path.is_file():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith(name):
                return line.partition(":")[2].strip()
    return ""


def product(x: Tensor, weight: Tensor, bias: Tensor | None = None, *, room: Tensor | None = None) -> Tensor:
    """`x @ weight.T + bias`, (R, N), without a gradient, from (R, K), (N, K) and (N,).

    `room` (R, N) is where torch's own product is written, to spare it fresh memory; oneDNN's has its own.
    """
    if _pays(x, weight):
        return _by_onednn(x, weight, bias)
    if bias is None:
        return torch.mm(x, weight.t(), out=room)
    return torch.addmm(bias, x, weight.t(), out=room)


def weight_gradient(grad: Tensor, x: Tensor) -> Tensor:
    """`grad.T @ x`, (N, K), from (R, N) and (R, K)."""
    if _pays(grad, x.t()):
        return _by_onednn(grad.t(), x.t(), None)
    return grad.t() @ x


def linear(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """`torch.nn.functional.linear`."""
    if not _pays(x, weight):
        return F.linear(x, weight, bias)
    result: Tensor = _Linear.apply(x, weight, bias)  # type: ignore[no-untyped-call]
    return result


@contextmanager
def fast_products(model: nn.Module) -> Iterator[None]:
    """Let the model's layers `torch.nn.Linear`, and GPT-2's `Conv1D`, multiply by `linear` for the time being.

    Layers that torch compiles keep their own.
    """
    with ExitStack() as stack:
        if pick_library()[0] == "oneDNN":
            for module in interpreted(model):
                forward = _FORWARDS.get(f"{type(module).__module__}.{type(module).__name__}")
                if forward is not None and "forward" not in module.__dict__:
                    module.forward = partial(forward, module)
                    stack.callback(module.__dict__.pop, "forward")
        yield


def _linear_forward(module: Any, input: Tensor) -> Tensor:  # noqa: A002  torch's own name
    return linear(input, module.weight, module.bias)


def _conv1d_forward(module: Any, x: Tensor) -> Tensor:
    """Its matrix is (K, N)."""
    return linear(x, module.weight.t(), module.bias)


#: By the whole name of the class: peft's layer with adapters is called `Linear`, too.
_FORWARDS = {
    "torch.nn.modules.linear.Linear": _linear_forward,
    "transformers.pytorch_utils.Conv1D": _conv1d_forward,
}


def _pays(x: Tensor, weight: Tensor) -> bool:
    """Whether (..., K) times (N, K) goes to oneDNN."""
    return (
        2 * x.numel() * weight.shape[0] >= MIN_OPERATIONS
        and x.dtype == weight.dtype == torch.float32
        and x.device.type == "cpu"
        and pick_library()[0] == "oneDNN"
    )


def _by_onednn(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """It takes any matrix whose rows or columns are contiguous."""
    x, weight = (one if 1 in one.stride() and 0 not in one.stride() else one.contiguous() for one in (x, weight))
    result: Tensor = torch.ops.mkldnn._linear_pointwise(x, weight, bias, "none", [], "")  # noqa: SLF001
    return result


class _Linear(torch.autograd.Function):
    """Any x (..., K), a matrix (N, K) and a bias (N,) or None, to (..., N)."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _by_onednn(x.reshape(-1, x.shape[-1]), weight, bias).view(*x.shape[:-1], len(weight))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        wants_x, wants_weight, wants_bias = ctx.needs_input_grad
        grad, rows = grads[0].reshape(-1, len(weight)), x.reshape(-1, x.shape[-1])
        of_x = product(grad, weight.t()).view(x.shape) if wants_x else None
        of_weight = None
        if wants_weight:  # in the order of the matrix, so that it needn't be copied
            is_transposed = weight.stride(0) == 1
            of_weight = weight_gradient(rows, grad).t() if is_transposed else weight_gradient(grad, rows)
        return of_x, of_weight, grad.sum(0) if wants_bias else None
