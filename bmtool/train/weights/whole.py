"""Every process of a run holds the whole model: masters in float32 and, in bfloat16, the copy that computes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, TypeVar

import torch

from bmtool.train.weights.base import Weights

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor, nn

    from bmtool.contracts import Stop
    from bmtool.train.machine.world import World

T = TypeVar("T")


@dataclass
class WholeWeights(Weights):
    """In float32 masters *are* the model's parameters; in bfloat16 they stand beside them.

    bfloat16 has 8 bits of mantissa: an update smaller than 1/256 of a weight would vanish without masters, and so would
    small gradients of later micro-batches, which is why gradients are summed in the masters too.
    """

    frozen: dict[str, Tensor]
    """What isn't trained, in float32"""

    @classmethod
    def of(cls, model: nn.Module, dtype: torch.dtype, world: World) -> Self:
        """Take over the model's float32 parameters and let it compute in `dtype`."""
        computing = {name: p for name, p in model.named_parameters() if p.requires_grad}
        frozen = {name: p.detach() for name, p in model.named_parameters() if not p.requires_grad}
        if dtype == torch.float32:
            return cls(world, model, dtype, computing, dict(computing), frozen)
        masters = {name: p.detach().clone() for name, p in computing.items()}
        for parameter in model.parameters():
            parameter.data = parameter.data.to(dtype)
        return cls(world, model, dtype, computing, masters, frozen)

    @property
    def _is_mixed(self) -> bool:
        """Whether masters stand beside the model's parameters."""
        return self.dtype != torch.float32

    @property
    def are_whole(self) -> bool:
        """They are."""
        return True

    @property
    def measures(self) -> bool:
        """The first process, for all."""
        return self.world.is_first

    def hears(self, stop: Stop) -> Stop:
        """This process alone."""
        return stop

    def num_idle(self, num_batches: int) -> int:
        """None: a process without a batch waits for the others."""
        del num_batches
        return 0

    def run(self, verb: Callable[..., T], *args: Any) -> T:
        """`verb(model, *args)`."""
        return verb(self.model, *args)

    def backward(self, loss: Tensor) -> None:
        """Move a micro-batch's gradients to the masters, added to what is there."""
        torch.autograd.backward(loss)
        if not self._is_mixed:
            return
        for name, parameter in self.computing.items():
            if parameter.grad is not None:
                master = self.masters[name]
                if master.grad is None:
                    master.grad = parameter.grad.float()
                else:
                    master.grad += parameter.grad
                parameter.grad = None

    def sum_gradients(self) -> None:
        """Add up what the processes have; a master that has a gradient in one of them has one in all."""
        if self.world.size == 1:
            return
        wanted = self.world.total([master.grad is not None for master in self.masters.values()])
        for master, is_wanted in zip(self.masters.values(), wanted, strict=True):
            if is_wanted and master.grad is None:
                master.grad = torch.zeros_like(master)
        self.world.add_up(self.gradients())

    def grad_norm(self) -> float:
        """Of the whole model's gradient."""
        return float(torch.nn.utils.get_total_norm(self.gradients()))

    @torch.no_grad()
    def publish(self) -> None:
        """Let the model compute with the masters' new values."""
        if self._is_mixed:
            torch._foreach_copy_(list(self.computing.values()), list(self.masters.values()))

    def parts(self, whole: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """All of it."""
        return whole

    def joined(self, parts: Callable[[], Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """The first process's."""
        return dict(parts()) if self.world.is_first else {}

    def give_back(self) -> nn.Module:
        """The model, in float32 with the masters' values."""
        for name, parameter in self.model.named_parameters():
            if name in self.frozen:
                parameter.data = self.frozen[name]
        for name, parameter in self.computing.items():
            parameter.data = self.masters[name].detach()
            parameter.grad = None
        return self.model
