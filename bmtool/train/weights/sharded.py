"""Each process of a run holds some rows of every weight, its gradient and the optimizer's state: torch's FSDP2.

A layer's weights come together, in the type of the computation, when the layer runs, and are let go behind it; those
outside of layers stay for the length of a batch. Gradients are summed in float32, by rows (Zhao et al. 2023, "PyTorch
FSDP"; Rajbhandari et al. 2020, "ZeRO", stage 3).
"""

from __future__ import annotations

import copy
import math
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, TypeVar

import torch
from torch import nn

from bmtool.train.machine.memory import release_memory
from bmtool.train.machine.world import peers_may_be_gone
from bmtool.train.weights.base import Weights
from bmtool.train.weights.layers import layers_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from torch import Tensor
    from torch.distributed.device_mesh import DeviceMesh
    from torch.distributed.tensor import DTensor

    from bmtool.contracts import Stop
    from bmtool.train.machine.world import World

T = TypeVar("T")


class _Root(nn.Module):
    """What FSDP takes for the model, so that any function of the model runs with the weights outside of layers."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, verb: Callable[..., T], *args: Any) -> T:
        return verb(self.model, *args)


@dataclass(frozen=True)
class _StopOfAll:
    """Asks to stop when any process is asked to: processes that measure together end together."""

    world: World
    own: Stop

    @property
    def reason(self) -> str:
        asked = self.world.total([bool(self.own.reason)])[0]
        return (self.own.reason or "a signal to one of its processes") if asked else ""


@dataclass
class ShardedWeights(Weights):
    """The caller's model is hollow until `give_back`; another one, of the same modules and no weights of its own, runs.

    Masters are the rows that FSDP holds, in float32.
    """

    root: _Root
    given: nn.Module
    """The caller's model"""

    @classmethod
    def of(cls, model: nn.Module, dtype: torch.dtype, world: World, device: torch.device) -> Self:
        """Share out the rows of a float32 model on the CPU that is the same in all processes."""
        release_memory()
        running = copy.deepcopy(model, {id(parameter): parameter for parameter in model.parameters()})
        root = _Root(running)
        mesh = world.mesh(device)
        for module in (*layers_of(running), root):
            own = [p for p in module.parameters() if p.numel() and not _is_sharded(p)]
            _shard(module, mesh, dtype)
            for parameter in own:  # they are the caller's model's, too
                parameter.data = torch.empty(0)
        computing = {name: p for name, p in running.named_parameters() if p.requires_grad}
        masters = {name: _rows(p) for name, p in computing.items()}
        return cls(world, running, dtype, computing, masters, root, model)

    @property
    def are_whole(self) -> bool:
        """No process has all rows."""
        return False

    @property
    def measures(self) -> bool:
        """All processes: each has weights that the others need."""
        return True

    def hears(self, stop: Stop) -> Stop:
        """All processes."""
        return _StopOfAll(self.world, stop)

    def num_idle(self, num_batches: int) -> int:
        """One where others have one more: all run as many batches, each with all weights."""
        over = num_batches % self.world.size
        return int(over != 0 and self.world.rank >= over)

    def run(self, verb: Callable[..., T], *args: Any) -> T:
        """`verb(model, *args)`; all processes at once."""
        trains = torch.is_grad_enabled()
        # FSDP keeps its tensors, and those that are made in inference mode can't be trained with later.
        mode = nullcontext() if trains else torch.inference_mode(mode=False)
        with peers_may_be_gone(), mode, torch.set_grad_enabled(trains):
            result: T = self.root(verb, *args)
            if not trains:
                self.root.reshard()  # type: ignore[operator]  # a backward pass does it itself
        return result

    def backward(self, loss: Tensor) -> None:
        """FSDP adds a micro-batch's gradients to the rows of this process."""
        with peers_may_be_gone():
            torch.autograd.backward(loss)

    def sum_gradients(self) -> None:
        """They are summed; the masters take them over."""
        for name, parameter in self.computing.items():
            self.masters[name].grad = None if parameter.grad is None else _rows(parameter.grad)

    def grad_norm(self) -> float:
        """From the norms of all processes' rows."""
        own = float(torch.nn.utils.get_total_norm(self.gradients()))
        return math.sqrt(self.world.total([own**2])[0])

    def publish(self) -> None:
        """Nothing to do: the masters are FSDP's own."""

    def parts(self, whole: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """The rows of this process, copied one tensor after the other."""
        return {name: self._part(value) for name, value in whole.items()}

    def _part(self, value: Tensor) -> Tensor:
        return value.clone() if value.ndim == 0 else value[self.world.rows(len(value))].clone()

    def joined(self, parts: Callable[[], Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """All rows, one tensor after the other; a number, such as AdamW's step, is the same in all processes."""
        shapes = {name: parameter.shape for name, parameter in self.computing.items()}
        found = {}
        for name, part in parts().items():
            shape = shapes[name] if name in shapes else shapes[name.partition(".")[2]]
            whole = part if part.ndim == 0 else self.world.stacked(part, shape[0])
            if whole is not None and self.world.is_first:
                found[name] = whole
        return found

    def give_back(self) -> nn.Module:
        """The caller's model with all weights, the frozen ones too, in the first process."""
        self.clear_gradients()
        given = dict(self.given.named_parameters())
        for name, parameter in self.model.named_parameters():
            whole = self.world.stacked(_rows(parameter).cpu(), parameter.shape[0])
            if whole is not None:
                given[name].data = whole
        return self.given.cpu()  # its buffers are those of the model that ran


def _shard(module: nn.Module, mesh: DeviceMesh, dtype: torch.dtype) -> None:
    """Share out the parameters of a module that aren't shared out yet."""
    from torch.distributed.fsdp import MixedPrecisionPolicy, fully_shard

    computes_in = None if dtype == torch.float32 else dtype
    # Without casts of what modules are given: bfloat16 is where the weights make it, as without FSDP.
    policy = MixedPrecisionPolicy(param_dtype=computes_in, reduce_dtype=torch.float32, cast_forward_inputs=False)
    sharded: Any = fully_shard(module, mesh=mesh, mp_policy=policy)
    sharded.set_gradient_divide_factor(1.0)  # losses are divided by the targets of all processes already
    sharded.set_force_sum_reduction_for_comms(True)  # gloo has no other sum


def _is_sharded(parameter: nn.Parameter) -> bool:
    from torch.distributed.tensor import DTensor

    return isinstance(parameter, DTensor)


@torch.no_grad()
def _rows(sharded: Tensor) -> Tensor:
    """The rows that this process holds, not a copy."""
    held: DTensor = sharded  # type: ignore[assignment]
    return held.to_local().detach()
