"""A model's trainable weights: float32 masters for the optimizer and, in bfloat16, the copy that computes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from torch import Tensor, nn


@dataclass
class Weights:
    """Parameters by name. In float32 masters *are* the model's parameters; in bfloat16 they stand beside them.

    bfloat16 has 8 bits of mantissa: an update smaller than 1/256 of a weight would vanish without masters, and so would
    small gradients of later micro-batches, which is why gradients are summed in the masters too.
    """

    computing: dict[str, nn.Parameter]
    masters: dict[str, Tensor]
    frozen: dict[str, Tensor]
    """What isn't trained, in float32"""

    @classmethod
    def of(cls, model: nn.Module, dtype: torch.dtype) -> Weights:
        """Take over the model's float32 parameters and let it compute in `dtype`."""
        computing = {name: p for name, p in model.named_parameters() if p.requires_grad}
        frozen = {name: p.detach() for name, p in model.named_parameters() if not p.requires_grad}
        if dtype == torch.float32:
            return cls(computing, dict(computing), frozen)
        masters = {name: p.detach().clone() for name, p in computing.items()}
        for parameter in model.parameters():
            parameter.data = parameter.data.to(dtype)
        return cls(computing, masters, frozen)

    @property
    def is_mixed(self) -> bool:
        """Whether masters stand beside the model's parameters."""
        return next(iter(self.masters.values())) is not next(iter(self.computing.values()))

    @property
    def count(self) -> int:
        """How many numbers are trained."""
        return sum(master.numel() for master in self.masters.values())

    def add_gradients(self) -> None:
        """Move a micro-batch's gradients to the masters, added to what is there."""
        if not self.is_mixed:
            return
        for name, parameter in self.computing.items():
            if parameter.grad is not None:
                master = self.masters[name]
                if master.grad is None:
                    master.grad = parameter.grad.float()
                else:
                    master.grad += parameter.grad
                parameter.grad = None

    def gradients(self) -> list[Tensor]:
        """The gradients of the masters that have one."""
        return [master.grad for master in self.masters.values() if master.grad is not None]

    def have_gradients(self) -> list[bool]:
        """Of each master, whether it has a gradient."""
        return [master.grad is not None for master in self.masters.values()]

    def complete_gradients(self, wanted: Sequence[float]) -> None:
        """Give each master that is `wanted` a gradient of 0 if it has none, as other processes have one."""
        for master, is_wanted in zip(self.masters.values(), wanted, strict=True):
            if is_wanted and master.grad is None:
                master.grad = torch.zeros_like(master)

    def clear_gradients(self) -> None:
        """Forget all gradients."""
        for name, master in self.masters.items():
            master.grad = None
            self.computing[name].grad = None

    @torch.no_grad()
    def publish(self) -> None:
        """Let the model compute with the masters' new values."""
        if self.is_mixed:
            torch._foreach_copy_(list(self.computing.values()), list(self.masters.values()))

    @torch.no_grad()
    def load(self, values: Mapping[str, Tensor]) -> None:
        """Set masters and model to saved values."""
        for name, master in self.masters.items():
            master.copy_(values[name])
        self.publish()

    def snapshot(self) -> dict[str, Tensor]:
        """A float32 copy in main memory."""
        return {name: master.detach().to("cpu", copy=True) for name, master in self.masters.items()}

    def give_back(self, model: nn.Module) -> None:
        """Make the model a float32 one that holds the masters' values; gradients are dropped."""
        for name, parameter in model.named_parameters():
            if name in self.frozen:
                parameter.data = self.frozen[name]
        for name, parameter in self.computing.items():
            parameter.data = self.masters[name].detach()
            parameter.grad = None
