"""Write a function of tensors as an ONNX graph: any number of rows of any length, the same bytes each time."""

from __future__ import annotations

import logging
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch

from bmtool.config.extras import EXTRAS
from bmtool.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from torch import Tensor, nn

    #: Free axes of an input by their place.
    Axes = Mapping[int, torch.export.Dim]

#: A protobuf message ends at 2 GiB; above this the weights go into a file of their own beside the graph.
MAX_EMBEDDED_BYTES = 1_800_000_000


def need_onnx(*, export: bool = False) -> None:
    """Check that the optional packages are there.

    Raises:
        ConfigError: one is missing; the message holds the line that installs them.
    """
    from importlib.util import find_spec

    wanted = ("onnxruntime", "onnx", "onnxscript") if export else ("onnxruntime",)
    missing = [name for name in wanted if find_spec(name) is None]
    if missing:
        raise ConfigError(f"ONNX needs {' and '.join(missing)}, which isn't installed: {EXTRAS['onnx'].pip}")


def write_onnx(
    function: nn.Module, path: Path, *, inputs: Mapping[str, tuple[Tensor, Axes]], outputs: Sequence[str]
) -> None:
    """Write `function` to `path`: each input by its name with an example of it and its free axes.

    The same model gives the same bytes.
    """
    with _quiet(), torch.no_grad():
        program = torch.onnx.export(
            function.eval(),
            tuple(example for example, _ in inputs.values()),
            dynamo=True,
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_shapes={name: dict(axes) for name, (_, axes) in inputs.items()},
            verbose=False,
        )
    if program is None:
        raise AssertionError("torch.onnx.export gave no program")
    _strip(program.model)
    weights = sum(parameter.numel() * parameter.element_size() for parameter in function.parameters())
    program.save(str(path), external_data=weights > MAX_EMBEDDED_BYTES)


def _strip(model: Any) -> None:
    """Remove stack traces and the like: they hold this machine's paths."""
    for part in (model, model.graph, *model.graph.all_nodes(), *model.graph.initializers.values()):
        part.metadata_props.clear()


@contextmanager
def _quiet() -> Iterator[None]:
    """Hide the exporter's remarks about packages it could also support and about its own deprecations."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            warnings.simplefilter("ignore", DeprecationWarning)
            # Both inputs share both axes, and the exporter names an axis once.
            warnings.filterwarnings("ignore", message="# The axis name", category=UserWarning)
            yield
    finally:
        logger.setLevel(level)
