"""An encoder-decoder whose work onnxruntime does, by the graphs of `bmtool.models.onnx_writer`.

To transformers' search for texts it is a model like any other. Shape letters as there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import nn
from transformers import AutoConfig, GenerationConfig, GenerationMixin
from transformers.modeling_outputs import Seq2SeqLMOutput
from transformers.utils.generic import ModelOutput

from bmtool.models.onnx_model import DECODER_FILE, ENCODER_FILE, open_session

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor


@dataclass
class Encoded(ModelOutput):
    """What the decoder sees of sources."""

    last_hidden_state: Tensor | None = None
    source_keys: Tensor | None = None
    source_values: Tensor | None = None


class Encoder(nn.Module):
    """Sources to what the decoder sees of them."""

    main_input_name: ClassVar = "input_ids"

    def __init__(self, path: Path) -> None:
        """Open the graph."""
        super().__init__()
        self.session = open_session(path)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, **_: Any) -> Encoded:
        """(N, S) both."""
        return Encoded(*_run(self.session, {"input_ids": input_ids, "attention_mask": attention_mask}))


class OnnxSeq2Seq(nn.Module, GenerationMixin):
    """The two graphs of a bundle as a model that writes."""

    main_input_name: ClassVar = "input_ids"
    base_model_prefix: ClassVar = ""
    _is_stateful: ClassVar = False

    def __init__(self, folder: Path) -> None:
        """Open both graphs in `folder`."""
        super().__init__()
        self.config = AutoConfig.from_pretrained(folder, trust_remote_code=False, local_files_only=True)
        self.generation_config = GenerationConfig()  # type: ignore[no-untyped-call]
        self.encoder = Encoder(folder / ENCODER_FILE)
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

    def get_encoder(self) -> Encoder:
        """What reads sources."""
        return self.encoder

    @staticmethod
    def is_remote_code() -> bool:
        """No code comes with a bundle."""
        return False

    @staticmethod
    def get_experts_implementation() -> None:
        """There is nothing to choose in a graph."""

    def forward(
        self,
        input_ids: Any = None,
        attention_mask: Any = None,
        decoder_input_ids: Any = None,
        encoder_outputs: Encoded | None = None,
        past_key_values: Any = None,
        **_: Any,
    ) -> Seq2SeqLMOutput:
        """Logits (N, U, V) of the tokens behind what the cache has, which these are added to."""
        encoded: Encoded = self.encoder(input_ids, attention_mask) if encoder_outputs is None else encoder_outputs
        # All layers of a graph are in one tensor, and so they are one layer of the cache.
        layer: Any = None if past_key_values is None else past_key_values.self_attention_cache.layers[0]
        rows, (_batch, layers, heads, _past, width) = len(decoder_input_ids), self.past_shape
        nothing = torch.zeros((rows, layers, heads, 0, width))
        is_first = layer is None or not layer.is_initialized
        logits, keys, values = _run(
            self.session,
            {
                "input_ids": decoder_input_ids,
                "attention_mask": attention_mask,
                "states": encoded.last_hidden_state,
                "source_keys": encoded.source_keys,
                "source_values": encoded.source_values,
                "past_keys": nothing if is_first else layer.keys,
                "past_values": nothing if is_first else layer.values,
            },
        )
        if layer is not None:
            layer.update(keys, values)
        return Seq2SeqLMOutput(logits=logits, past_key_values=past_key_values)


def _run(session: Any, inputs: dict[str, Any]) -> list[Tensor]:
    """What the graph gives; inputs that it doesn't need are left out."""
    wanted = {one.name for one in session.get_inputs()}
    feeds = {name: value.contiguous().numpy() for name, value in inputs.items() if name in wanted}
    return [torch.from_numpy(array) for array in session.run(None, feeds)]
