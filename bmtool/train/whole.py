"""Every process of a run holds the whole model: masters in float32 and, in bfloat16, the copy that computes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, TypeVar

import torch

from bmtool.train.tables import tables_of
from bmtool.train.weights import Weights

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor, nn

    from bmtool.contracts import Stop
    from bmtool.train.tables import Table
    from bmtool.train.world import World

T = TypeVar("T")


@dataclass
class WholeWeights(Weights):
    """In float32 masters *are* the model's parameters; in bfloat16 they stand beside them.

    bfloat16 has 8 bits of mantissa: an update smaller than 1/256 of a weight would vanish without masters, and so would
    small gradients of later micro-batches, which is why gradients are summed in the masters too.
    """

    frozen: dict[str, Tensor]
    """What isn't trained, in float32"""
    tables: dict[str, Table]
    """Embeddings whose rows are looked up in their masters"""

    @classmethod
    def of(cls, model: nn.Module, dtype: torch.dtype, world: World) -> Self:
        """Take over the model's float32 parameters and let it compute in `dtype`."""
        computing = {name: p for name, p in model.named_parameters() if p.requires_grad}
        frozen = {name: p.detach() for name, p in model.named_parameters() if not p.requires_grad}
        tables = tables_of(model, computing, dtype) if world.size == 1 else {}
        looked_up = {name: table.master for name, table in tables.items()}
        if dtype == torch.float32:
            return cls(world, model, dtype, computing, {**computing, **looked_up}, frozen, tables)
        masters = {name: looked_up[name] if name in tables else p.detach().clone() for name, p in computing.items()}
        for name, parameter in model.named_parameters():
            if name not in tables:
                parameter.data = parameter.data.to(dtype)
        return cls(world, model, dtype, computing, masters, frozen, tables)

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
        for table in self.tables.values():
            table.take()
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
        rows = [table.touched() for table in self.tables.values()]
        return float(torch.nn.utils.get_total_norm(self._dense_gradients() + rows))

    def scale_gradients(self, factor: float) -> None:
        """Multiply them all."""
        torch._foreach_mul_(self._dense_gradients(), factor)
        for table in self.tables.values():
            table.scale(factor)

    def _dense_gradients(self) -> list[Tensor]:
        """Those of masters that aren't tables."""
        found = ((name, master.grad) for name, master in self.masters.items())
        return [gradient for name, gradient in found if gradient is not None and name not in self.tables]

    def clear_gradients(self) -> None:
        """Forget all gradients."""
        for table in self.tables.values():
            table.clear()
        super().clear_gradients()

    @torch.no_grad()
    def publish(self) -> None:
        """Let the model compute with the masters' new values."""
        if self._is_mixed:
            copied = [name for name in self.computing if name not in self.tables]
            torch._foreach_copy_([self.computing[name] for name in copied], [self.masters[name] for name in copied])

    def parts(self, whole: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """All of it."""
        return whole

    def joined(self, parts: Callable[[], Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """The first process's."""
        return dict(parts()) if self.world.is_first else {}

    def give_back(self) -> nn.Module:
        """The model, in float32 with the masters' values."""
        for table in self.tables.values():
            table.give_back()
        for name, parameter in self.model.named_parameters():
            if name in self.frozen:
                parameter.data = self.frozen[name]
        for name, parameter in self.computing.items():
            parameter.data = self.masters[name].detach()
            parameter.grad = None
        return self.model
