"""Every process of a run holds the whole model: masters in float32 and, in bfloat16, the copy that computes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self, TypeVar

import torch

from bmtool.train.weights.adamw import MIN_LARGE, Gradient, Move, Rows, norm_of
from bmtool.train.weights.base import Weights

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor, nn

    from bmtool.contracts import Stop
    from bmtool.train.machine.world import World
    from bmtool.train.optim import Optimizer

T = TypeVar("T")


@dataclass
class WholeWeights(Weights):
    """In float32 masters *are* the model's parameters; in bfloat16 they stand beside them.

    bfloat16 has 8 bits of mantissa: an update smaller than 1/256 of a weight would vanish without masters, and so would
    small gradients of later micro-batches, which is why gradients are summed in the masters too.
    """

    frozen: dict[str, Tensor]
    """What isn't trained, in float32"""
    fresh: dict[str, Gradient] = field(default_factory=dict)
    """On a CPU: gradients that no master has yet, of the first batch alone, or rows of an embedding"""

    @classmethod
    def of(cls, model: nn.Module, dtype: torch.dtype, world: World) -> Self:
        """Take over the model's float32 parameters and let it compute in `dtype`."""
        computing = {name: p for name, p in model.named_parameters() if p.requires_grad}
        frozen = {name: p.detach() for name, p in model.named_parameters() if not p.requires_grad}
        _give_rows(model)
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
    def _is_on_cpu(self) -> bool:
        return all(master.device.type == "cpu" for master in self.masters.values())

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
        """Keep a micro-batch's gradients as they are, or add them, in float32, to those of earlier ones."""
        torch.autograd.backward(loss)
        for name, parameter in self.computing.items():
            gradient = parameter.grad
            if gradient is None or (not self._is_mixed and not gradient.is_sparse):
                continue  # in float32 autograd adds them up itself
            parameter.grad = None
            self._add(name, Rows.of(gradient) if gradient.is_sparse else gradient)
        if not self._is_on_cpu:
            self._spread()

    def _add(self, name: str, gradient: Gradient) -> None:
        """Add a batch's gradient of one weight to what there is."""
        earlier, master = self.fresh.get(name), self.masters[name]
        if earlier is None and master.grad is None:
            self.fresh[name] = gradient
        elif isinstance(earlier, Rows) and isinstance(gradient, Rows):
            self.fresh[name] = earlier.plus(gradient)
        else:
            self._spread(name)
            total: Any = master.grad
            if isinstance(gradient, Rows):
                gradient.add_to(total)
            else:
                total += gradient

    def _spread(self, *names: str) -> None:
        """Let the masters have their gradients, all of them unless some are named, as whole float32 tensors."""
        for name in names or list(self.fresh):
            gradient, master = self.fresh.pop(name, None), self.masters[name]
            if isinstance(gradient, Rows):
                master.grad = torch.zeros_like(master)
                gradient.add_to(master.grad)
            elif gradient is not None:
                master.grad = gradient.float()

    def sum_gradients(self) -> None:
        """Add up what the processes have; a master that has a gradient in one of them has one in all."""
        if self.world.size == 1:
            return
        self._spread()
        wanted = self.world.total([master.grad is not None for master in self.masters.values()])
        for master, is_wanted in zip(self.masters.values(), wanted, strict=True):
            if is_wanted and master.grad is None:
                master.grad = torch.zeros_like(master)
        self.world.add_up(self.gradients())

    def gradients(self) -> list[Tensor]:
        """The gradients of the masters that have one."""
        self._spread()
        return super().gradients()

    def clear_gradients(self) -> None:
        """Forget all gradients."""
        super().clear_gradients()
        self.fresh.clear()

    def grad_norm(self) -> float:
        """Of the whole model's gradient."""
        if self._is_on_cpu:
            return norm_of([gradient for name in self.masters if (gradient := self._gradient(name)) is not None])
        return float(torch.nn.utils.get_total_norm(self.gradients()))

    def _gradient(self, name: str) -> Gradient | None:
        """A weight's gradient in whatever form."""
        return self.fresh.get(name, self.masters[name].grad)

    @torch.no_grad()
    def move(self, optimizer: Optimizer, scale: float) -> None:
        """By the gradients times `scale`, on a CPU in one pass if it is AdamW."""
        if not (optimizer.is_adamw and self._is_on_cpu):
            super().move(optimizer, scale)
            return
        copies = self.computing if self._is_mixed else {}
        optimizer.move(
            [
                Move(master, gradient, copies.get(name))
                for name, master in self.masters.items()
                if (gradient := self._gradient(name)) is not None
            ],
            scale,
        )

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


def _give_rows(model: nn.Module) -> None:
    """Let large embeddings on a CPU that are nothing else give gradients of the rows alone that a batch reads.

    Not where the matrix has another use, as at the output, whose gradient is whole (and takes these rows in:
    `bmtool.models.goals.language.add_words_in_place`).
    """
    uses = Counter(id(one) for part in model.modules() for one in part._parameters.values())  # noqa: SLF001  each use
    for module in model.modules():
        if isinstance(module, torch.nn.Embedding) and module.weight.device.type == "cpu":
            is_large = module.weight.requires_grad and module.weight.numel() >= MIN_LARGE
            module.sparse = is_large and uses[id(module.weight)] == 1
