"""Layers that torch compiles, in the place of what is written by hand for a CPU.

One graph serves all layers that are alike and all batches: numbers of tokens and of documents are symbols in it from
the first batch on (`dynamic=True`), so that nothing has to be padded to a constant shape.
"""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from torch import nn


class CompiledLayers:
    """Layers with a compiled forward of their own, which is there while they are `in_use`."""

    def __init__(self, layers: Iterable[nn.Module], backend: str = "inductor") -> None:
        """Nothing is compiled before the first batch; `backend` is one of torch's, by name."""
        self.num_graphs = 0
        """How many graphs were compiled; one for each kind of layer is enough"""
        self._backend = backend
        backend_of_all = self._counted  # one object: torch takes up graphs of the same backend alone
        self._forwards = [(layer, _Compiled(layer.forward, backend_of_all)) for layer in layers]

    def __len__(self) -> int:
        return len(self._forwards)

    def _counted(self, graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Callable[..., Any]:
        from torch._dynamo import lookup_backend

        self.num_graphs += 1
        run: Callable[..., Any] = lookup_backend(self._backend)(graph, inputs)
        return run

    @contextmanager
    def in_use(self) -> Iterator[None]:
        """Let the layers run compiled for the time being."""
        for layer, forward in self._forwards:
            layer.forward = forward
        try:
            with _without_guesses() if self._forwards else nullcontext():
                yield
        finally:
            for layer, _ in self._forwards:
                del layer.forward

    def give_up(self) -> None:
        """Let them run as they are from now on."""
        self._forwards = []


@contextmanager
def _without_guesses() -> Iterator[None]:
    """Compile, where it must be, without what torch would guess from a first batch.

    Two sizes that are equal there, such as 256 tokens of 256 numbers each, are taken for one, and the next batch has
    another graph. Numbers that aren't whole are made inputs of a graph at first; ours are scales that never change.
    """
    from torch._dynamo import config as tracing
    from torch.fx.experimental import _config as shapes

    with shapes.patch(use_duck_shape=False), tracing.patch(specialize_float=True):  # type: ignore[attr-defined]
        yield


class _Compiled:
    """A compiled forward, known by its class."""

    def __init__(self, forward: Callable[..., Any], backend: Callable[..., Any]) -> None:
        self.run = torch.compile(forward, backend=backend, dynamic=True)

    def __call__(self, *args: Any, asked_rows: Any = None, **others: Any) -> Any:
        """`asked_rows` is for the last layer; whether it is there must not make another graph of the same layer."""
        del asked_rows
        return self.run(*args, **others)


def interpreted(model: nn.Module) -> Iterator[nn.Module]:
    """All of the model's modules but those in layers that run compiled, each once."""
    inside: set[nn.Module] = set()
    for module in model.modules():
        if module in inside:
            continue
        if isinstance(module.__dict__.get("forward"), _Compiled):
            inside.update(module.modules())
        else:
            yield module
