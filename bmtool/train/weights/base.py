"""What the loop needs of a model's weights: they are whole in each process of the run, or each holds a part of them.

Whole: `bmtool.train.weights.whole`; in parts: `bmtool.train.weights.sharded`. The loop knows no more than this.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor, nn

    from bmtool.contracts import Stop
    from bmtool.train.machine.world import World
    from bmtool.train.optim import Optimizer

T = TypeVar("T")


@dataclass
class Weights(ABC):
    """Trainable weights by name: float32 masters for the optimizer, and what computes."""

    world: World
    model: nn.Module
    """What computes; only by `run`."""
    dtype: torch.dtype
    """What it computes in"""
    computing: dict[str, nn.Parameter]
    masters: dict[str, Tensor]
    """In float32, this process's part of each; may be empty"""

    @property
    @abstractmethod
    def measures(self) -> bool:
        """Whether this process takes part when the model is run without training it."""

    @property
    @abstractmethod
    def are_whole(self) -> bool:
        """Whether this process alone could save them."""

    @property
    def count(self) -> int:
        """How many numbers are trained, in all processes together."""
        return sum(parameter.numel() for parameter in self.computing.values())

    @abstractmethod
    def hears(self, stop: Stop) -> Stop:
        """Who asks to stop, the same in all processes that measure."""

    @abstractmethod
    def num_idle(self, num_batches: int) -> int:
        """How many batches this process must run along that others train on, in a step of `num_batches`."""

    @abstractmethod
    def run(self, verb: Callable[..., T], *args: Any) -> T:
        """`verb(model, *args)`."""

    @abstractmethod
    def backward(self, loss: Tensor) -> None:
        """Add a micro-batch's gradients to what is there, in float32."""

    @abstractmethod
    def sum_gradients(self) -> None:
        """At the end of a window: gradients of the masters, over all processes."""

    @abstractmethod
    def grad_norm(self) -> float:
        """Of the whole model's gradient."""

    def move(self, optimizer: Optimizer, scale: float) -> None:
        """By the gradients times `scale`; the model computes with the new values from then on."""
        if scale < 1:
            torch._foreach_mul_(self.gradients(), scale)
        optimizer.step()
        self.publish()

    @abstractmethod
    def publish(self) -> None:
        """Let the model compute with the masters' new values."""

    @abstractmethod
    def parts(self, whole: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """This process's part of tensors whose names are, or end behind a point with, those of weights."""

    @abstractmethod
    def joined(self, parts: Callable[[], Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """Whole tensors in main memory from all processes' parts, in the first process; {} in the others."""

    @abstractmethod
    def give_back(self) -> nn.Module:
        """The caller's model again, in float32 with the masters' values, in the first process."""

    def gradients(self) -> list[Tensor]:
        """The gradients of the masters that have one."""
        return [master.grad for master in self.masters.values() if master.grad is not None]

    def clear_gradients(self) -> None:
        """Forget all gradients."""
        for name, master in self.masters.items():
            master.grad = None
            self.computing[name].grad = None

    @torch.no_grad()
    def load(self, parts: Mapping[str, Tensor]) -> None:
        """Set masters and model to what `snapshot`, or `parts` of a saved state, gave."""
        for name, master in self.masters.items():
            master.copy_(parts[name])
        self.publish()

    def snapshot(self) -> dict[str, Tensor]:
        """A float32 copy of this process's part in main memory."""
        return {name: master.detach().to("cpu", copy=True) for name, master in self.masters.items()}
