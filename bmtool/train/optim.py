"""The optimizer: fused AdamW in groups, its state as plain named tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from bmtool.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from torch import Tensor

#: Of RoBERTa (Liu et al. 2019, section 3.1): a second moment that forgets faster is more stable at high learning rates.
BETAS = (0.9, 0.98)
EPSILON = 1e-6


def adamw(
    masters: Mapping[str, Tensor],
    *,
    learning_rate: float,
    weight_decay: float,
    head: Collection[str] = (),
    head_learning_rate: float | None = None,
) -> torch.optim.AdamW:
    """AdamW over named float32 tensors: `head` parameters with a rate of their own, no decay for biases and norms.

    Each group keeps its highest rate as `base_lr`; see `set_rate`.
    """
    groups: dict[tuple[float, float], list[Tensor]] = {}
    for name, tensor in masters.items():
        rate = head_learning_rate if head_learning_rate is not None and name in head else learning_rate
        groups.setdefault((rate, weight_decay if tensor.ndim >= 2 else 0.0), []).append(tensor)
    plain = [{"params": p, "lr": rate, "base_lr": rate, "weight_decay": decay} for (rate, decay), p in groups.items()]
    return torch.optim.AdamW(plain, lr=learning_rate, betas=BETAS, eps=EPSILON, fused=True)


def set_rate(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Set each group's learning rate to `factor` of its highest."""
    for group in optimizer.param_groups:
        group["lr"] = group["base_lr"] * factor


def state_tensors(optimizer: torch.optim.Optimizer, masters: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A copy of the state in main memory as `<what>.<parameter>`, such as `exp_avg.bert.pooler.dense.weight`."""
    return {
        f"{what}.{name}": value.detach().to("cpu", copy=True)
        for name, master in masters.items()
        for what, value in optimizer.state.get(master, {}).items()
    }


def load_state(optimizer: torch.optim.Optimizer, masters: Mapping[str, Tensor], saved: Mapping[str, Tensor]) -> None:
    """Take over what `state_tensors` gave.

    Raises:
        DataError: it is the state of other parameters.
    """
    strange = sorted({key.partition(".")[2] for key in saved} - set(masters))
    if strange:
        raise DataError(f"the optimizer's state is of another model: it has no parameter '{strange[0]}'")
    state: dict[str, dict[str, Any]] = {}
    for key, value in saved.items():
        what, _, name = key.partition(".")
        state.setdefault(name, {})[what] = value.to(masters[name].device)
    for name, values in state.items():
        optimizer.state[masters[name]] = values
