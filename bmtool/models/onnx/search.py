"""What transformers' search for texts asks of a model, for models whose work onnxruntime does.

Shape letters as in `bmtool.models.onnx.writer`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import nn
from transformers import GenerationConfig, GenerationMixin

from bmtool.models.onnx.model import DECODER_FILE, config_of_bundle, open_session

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor


class Searched(nn.Module, GenerationMixin):
    """A bundle's decoder as a model that writes; how it is asked differs."""

    main_input_name: ClassVar = "input_ids"
    base_model_prefix: ClassVar = ""
    _is_stateful: ClassVar = False

    def __init__(self, folder: Path) -> None:
        """Open the decoder in `folder`."""
        super().__init__()
        self.config = config_of_bundle(folder)
        self.generation_config = GenerationConfig()  # type: ignore[no-untyped-call]
        self.session = open_session(folder / DECODER_FILE)
        self.past_shape = next(one.shape for one in self.session.get_inputs() if one.name == "past_keys")

    @property
    def device(self) -> torch.device:
        """The CPU."""
        return torch.device("cpu")

    @property
    def dtype(self) -> torch.dtype:
        """Of logits."""
        return torch.float32

    @staticmethod
    def is_remote_code() -> bool:
        """No code comes with a bundle."""
        return False

    @staticmethod
    def get_experts_implementation() -> dict[str, str]:
        """There is nothing to choose in a graph."""
        return {}

    def decoded(self, cache: Any, inputs: Mapping[str, Tensor]) -> Tensor:
        """Logits (N, U, V) of the tokens behind what the cache has, which their keys and values are added to."""
        # All layers of a graph are in one tensor, and so they are one layer of the cache.
        layer: Any = None if cache is None else cache.layers[0]
        if layer is None or not layer.is_initialized:
            _batch, layers, heads, _past, width = self.past_shape
            nothing = torch.zeros((len(inputs["input_ids"]), layers, heads, 0, width))
            past = {"past_keys": nothing, "past_values": nothing}
        else:
            past = {"past_keys": layer.keys, "past_values": layer.values}
        logits, keys, values = run_graph(self.session, {**inputs, **past})
        if layer is not None:
            layer.update(keys, values)
        return logits


def run_graph(session: Any, inputs: Mapping[str, Tensor]) -> list[Tensor]:
    """What the graph gives; inputs that it doesn't need are left out."""
    wanted = {one.name for one in session.get_inputs()}
    feeds = {name: value.contiguous().numpy() for name, value in inputs.items() if name in wanted}
    return [torch.from_numpy(array) for array in session.run(None, feeds)]
