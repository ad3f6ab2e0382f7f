"""The optimizers: fused AdamW, or Muon for the matrices inside the layers and AdamW for the rest.

Their state is kept as plain named tensors.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from bmtool.errors import DataError
from bmtool.train.weights.adamw import Known, Move, move
from bmtool.train.weights.layers import is_hidden

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor

#: Of RoBERTa (Liu et al. 2019, section 3.1): a second moment that forgets faster is more stable at high learning rates.
BETAS = (0.9, 0.98)
EPSILON = 1e-6

#: Below so many tokens a step Muon's orthogonal steps follow noise: AdamW learns as much, and is cheaper.
MUON_TOKENS = 32_768


#: What each of torch's optimizers remembers of a parameter, by which its state is told.
_MEMORY: dict[type[torch.optim.Optimizer], str] = {torch.optim.AdamW: "exp_avg", torch.optim.Muon: "momentum_buffer"}


@dataclass(frozen=True)
class Optimizer:
    """One or two of torch's optimizers that share out the parameters."""

    parts: Sequence[torch.optim.Optimizer]
    known: dict[Tensor, Known] = field(default_factory=dict)
    """What `move` keeps from one step to the next"""

    @property
    def groups(self) -> list[dict[str, Any]]:
        """All groups of parameters; each keeps its highest rate as `base_lr`."""
        return [group for part in self.parts for group in part.param_groups]

    def step(self) -> None:
        """Move every parameter that has a gradient."""
        for part in self.parts:
            part.step()

    @property
    def is_adamw(self) -> bool:
        """Whether AdamW moves all parameters."""
        return all(isinstance(part, torch.optim.AdamW) for part in self.parts)

    def move(self, moves: Sequence[Move], scale: float) -> None:
        """AdamW's step on a CPU by gradients times `scale`, in whatever form."""
        for part in self.parts:
            if isinstance(part, torch.optim.AdamW):
                move(part, moves, self.known, scale)

    def set_rate(self, factor: float) -> None:
        """Set each group's learning rate to `factor` of its highest."""
        for group in self.groups:
            group["lr"] = group["base_lr"] * factor

    def state_tensors(self, masters: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """A copy of the state in main memory as `<what>.<parameter>`, such as `exp_avg.bert.pooler.dense.weight`.

        Of this process's part of each parameter.
        """
        return {
            f"{what}.{name}": value.detach().to("cpu", copy=True)
            for name, master in masters.items()
            for part in self.parts
            for what, value in part.state.get(master, {}).items()
        }

    def load_state(self, masters: Mapping[str, Tensor], saved: Mapping[str, Tensor]) -> None:
        """Take over what `state_tensors` gave.

        Raises:
            DataError: it is the state of other parameters, or of another optimizer.
        """
        state: dict[str, dict[str, Any]] = {}
        for key, value in saved.items():
            what, _, name = key.partition(".")
            if name not in masters:
                raise DataError(f"the optimizer's state is of another model: it has a parameter '{name}'")
            state.setdefault(name, {})[what] = value.to(masters[name].device)
        self.known.clear()
        for part in self.parts:
            part.state.clear()
            own = {id(parameter) for group in part.param_groups for parameter in group["params"]}
            for name, values in state.items():
                if id(masters[name]) not in own:
                    continue
                if _MEMORY[type(part)] not in values:
                    raise DataError(f"the state of '{name}' is of another optimizer. Set optim to the one that left it")
                part.state[masters[name]] = values


def new_optimizer(
    kind: str,
    masters: Mapping[str, Tensor],
    *,
    learning_rate: float,
    weight_decay: float,
    rates: Mapping[str, float] | None = None,
) -> Optimizer:
    """`adamw` or `muon` over named float32 tensors, in groups of equal rates; no decay for biases and norms.

    `rates` are learning rates by name, where they differ from `learning_rate`. Muon's steps are scaled to the size of
    AdamW's (Liu et al. 2025, "Muon is scalable for LLM training", section 2.2), so that both take the same rates.

    Raises:
        ValueError: an unknown kind.
    """
    if kind not in ("adamw", "muon"):
        raise ValueError(f"unknown optimizer '{kind}'")
    rates = rates or {}
    hidden = {name for name, tensor in masters.items() if kind == "muon" and tensor.ndim == 2 and is_hidden(name)}
    parts: list[torch.optim.Optimizer] = []
    if hidden:
        groups = _groups(
            {name: masters[name] for name in masters if name in hidden}, learning_rate, weight_decay, rates
        )
        parts.append(torch.optim.Muon(groups, lr=learning_rate, adjust_lr_fn="match_rms_adamw"))
    rest = {name: tensor for name, tensor in masters.items() if name not in hidden}
    if rest:
        groups = _groups(rest, learning_rate, weight_decay, rates)
        parts.append(torch.optim.AdamW(groups, lr=learning_rate, betas=BETAS, eps=EPSILON, fused=True))
    return Optimizer(parts)


def _groups(
    masters: Mapping[str, Tensor], learning_rate: float, weight_decay: float, rates: Mapping[str, float]
) -> list[dict[str, Any]]:
    groups: dict[tuple[float, float], list[Tensor]] = {}
    for name, tensor in masters.items():
        rate = rates.get(name, learning_rate)
        groups.setdefault((rate, weight_decay if tensor.ndim >= 2 else 0.0), []).append(tensor)
    return [{"params": p, "lr": rate, "base_lr": rate, "weight_decay": decay} for (rate, decay), p in groups.items()]
