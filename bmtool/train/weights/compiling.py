"""Whether torch compiles a run's layers, and why; and whether it was done with behind the second step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

import torch

from bmtool.errors import ConfigError
from bmtool.models.families.family import family_of
from bmtool.models.families.one_row import OneRow
from bmtool.models.heads.several_heads import SeveralHeads
from bmtool.models.kernels.compiled import CompiledLayers
from bmtool.train.weights.compiled_code import keep_compiled
from bmtool.train.weights.layers import layers_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    from bmtool.console import Console
    from bmtool.train.states.state import State
    from bmtool.train.weights.base import Weights

Result = TypeVar("Result")

#: On a GPU shorter runs aren't compiled by default. Compiling took 20 to 80 s for a kind of layer on one busy core; of
#: steps of 100 ms, 2,000 gain as much if each gets shorter by a fifth. Not measured on a GPU.
MIN_STEPS = 2_000

#: Behind so many steps of a phase, or of a run that goes on, every graph has been compiled.
SETTLED_STEPS = 2

#: After so many more the layers go on uncompiled. torch itself does so behind 8 of one function, and goes on as if
#: nothing were.
MAX_RECOMPILES = 4


class Compiling:
    """The compiled layers of a run, maybe none, and how many graphs came late."""

    def __init__(self, layers: CompiledLayers | None = None, *, is_asked_for: bool = True) -> None:
        """`is_asked_for`: by the file, so that a run ends where torch can't compile them; else it goes on without."""
        self.layers = CompiledLayers(()) if layers is None else layers
        self.is_asked_for = is_asked_for
        self._known = self._steps = self._phase = 0

    @classmethod
    def of(
        cls, wanted: str, weights: Weights, device: torch.device, *, num_steps: int, console: Console
    ) -> tuple[Compiling, str]:
        """Those of a model, none if it isn't compiled; and which of the two, with the reason.

        It is said, too, but where nobody would expect compiled layers.

        Raises:
            ConfigError: compiled layers are asked for (`always`), and can't be had.
        """
        is_compiled, reason = pick_compiling(wanted, weights, device, num_steps=num_steps)
        told = f"compiled ({reason})" if is_compiled else f"as they are ({reason})"
        if wanted != "auto" or device.type != "cpu":
            console.say(f"layers {told}")
        if not is_compiled:
            return cls(), told
        torch.compiler.reset()  # graphs of earlier runs of this process count towards torch's limits
        return cls(CompiledLayers(compiled_layers(weights.model)), is_asked_for=wanted == "always"), told

    def run(self, work: Callable[[], Result], console: Console) -> Result:
        """What `work` gives with the layers compiled. It may be done twice, and sets its own random numbers.

        Raises:
            ConfigError: torch can't compile them, and the file asks for it.
        """
        if not self.layers:
            return work()
        from torch._dynamo.exc import TorchDynamoException

        try:
            with self.layers.in_use():
                return work()
        except TorchDynamoException as error:
            fault = f"torch can't compile this model's layers here: {_short(error)}"
            if self.is_asked_for:
                raise ConfigError(f"runtime.torch_compile: {fault}. Set it to never") from error
            self.layers.give_up()
            console.warn(f"{fault}. They go on uncompiled; runtime.torch_compile: never doesn't try")
        return work()

    def look(self, state: State, console: Console) -> None:
        """Behind a step: count and tell what was compiled late, and give up where it doesn't end."""
        if not self.layers:
            return
        new, self._known = self.layers.num_graphs - self._known, self.layers.num_graphs
        self._steps = self._steps + 1 if state.phase == self._phase else 1
        self._phase = state.phase
        if self._steps == SETTLED_STEPS and not self.layers.num_graphs:
            console.warn(f"step {state.step:,}: torch compiled none of the layers; they run as they are")
        if self._steps <= SETTLED_STEPS or not new:
            return
        state.recompiles += new
        console.warn(
            f"step {state.step:,}: torch compiled layers again, which costs time and should be over behind step "
            f"{SETTLED_STEPS}; {state.recompiles:,} so far. TORCH_LOGS=recompiles says why"
        )
        if state.recompiles >= MAX_RECOMPILES:
            self.layers.give_up()
            console.warn("the layers go on uncompiled. Set runtime.torch_compile to never, and tell us of it")


def pick_compiling(wanted: str, weights: Weights, device: torch.device, *, num_steps: int) -> tuple[bool, str]:
    """Whether layers are compiled, and why; by the machine, the model and the length of the run, never by a timing.

    Raises:
        ConfigError: they are asked for (`always`), and can't be.
    """
    if wanted == "never":
        return False, "asked for"
    unfit = _unfit(weights, device)
    if wanted == "auto" and not unfit:
        if device.type == "cpu":
            return False, "a CPU: only with torch_compile: always"
        unfit = f"{num_steps:,} steps are too few for it to pay" if num_steps < MIN_STEPS else ""
    if not unfit:
        keep_compiled()
        unfit = fault_of_compiler(device)
    if unfit and wanted == "always":
        raise ConfigError(f"runtime.torch_compile: always is asked for, but {unfit}. Set it to auto or never")
    return (False, unfit) if unfit else (True, "asked for" if wanted == "always" else f"a GPU, {num_steps:,} steps")


def _unfit(weights: Weights, device: torch.device) -> str:
    """Why the layers of this model shouldn't be compiled; nothing if they may be."""
    family = family_of(weights.model)
    if not isinstance(family, OneRow):
        return f"a '{_model_type(weights.model)}' model doesn't run with all its texts in one row"
    if not weights.are_whole:
        return "the weights are shared out among processes"
    if device.type == "cuda" and weights.dtype == torch.float32:
        return "in float32 attention isn't one operation on a GPU"
    return "" if compiled_layers(weights.model) else "the model has no layers for it"


def _model_type(model: nn.Module) -> str:
    return str(cast("Any", model.config).model_type)


def compiled_layers(model: nn.Module) -> list[nn.Module]:
    """The model's layers that can be compiled: not one in which tokens are left out, other ones in each batch."""
    models = list(model.tasks) if isinstance(model, SeveralHeads) else [model]
    odd = {family_of(one).alone(one.base_model) for one in models} - {None}
    return [layer for layer in layers_of(model) if odd.isdisjoint(layer.modules())]


def fault_of_compiler(device: torch.device) -> str:
    """Why torch can't compile for this device, from trying it on a few numbers; nothing if it can."""
    from torch._dynamo.exc import TorchDynamoException

    try:
        torch.compile(lambda x: x.sin() + 1)(torch.ones(8, device=device))
    except (TorchDynamoException, OSError, ImportError) as error:
        return f"torch can't compile anything here: {_short(error)}"
    return ""


def _short(error: BaseException) -> str:
    """The first paragraph of what torch says, in one line."""
    return " ".join(str(error).strip().partition("\n\n")[0].split()).rstrip(".") or type(error).__name__
