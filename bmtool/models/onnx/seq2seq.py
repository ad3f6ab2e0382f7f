"""An encoder-decoder whose work onnxruntime does, by the graphs of `bmtool.models.onnx.writer`.

To transformers' search for texts it is a model like any other. Shape letters as there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

from torch import nn
from transformers.modeling_outputs import Seq2SeqLMOutput
from transformers.utils.generic import ModelOutput

from bmtool.models.onnx.model import ENCODER_FILE, open_session
from bmtool.models.onnx.search import Searched, run_graph

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor


@dataclass
class Encoded(ModelOutput):
    """What the decoder sees of sources."""

    last_hidden_state: Any = None
    source_keys: Any = None
    source_values: Any = None


class Encoder(nn.Module):
    """Sources to what the decoder sees of them."""

    main_input_name: ClassVar = "input_ids"

    def __init__(self, path: Path) -> None:
        """Open the graph."""
        super().__init__()
        self.session = open_session(path)

    def forward(self, input_ids: Tensor, attention_mask: Tensor, **_: Any) -> Encoded:
        """(N, S) both."""
        return Encoded(*run_graph(self.session, {"input_ids": input_ids, "attention_mask": attention_mask}))


class OnnxSeq2Seq(Searched):
    """The two graphs of a bundle as a model that writes."""

    def __init__(self, folder: Path) -> None:
        """Open both graphs in `folder`."""
        super().__init__(folder)
        self.encoder = Encoder(folder / ENCODER_FILE)

    def get_encoder(self) -> Encoder:
        """What reads sources."""
        return self.encoder

    def forward(
        self,
        input_ids: Any = None,
        attention_mask: Any = None,
        decoder_input_ids: Any = None,
        encoder_outputs: Encoded | None = None,
        past_key_values: Any = None,
        **_: Any,
    ) -> Seq2SeqLMOutput:
        """Logits (N, U, V) of the tokens behind what the cache has."""
        encoded: Encoded = self.encoder(input_ids, attention_mask) if encoder_outputs is None else encoder_outputs
        inputs = {
            "input_ids": decoder_input_ids,
            "attention_mask": attention_mask,
            "states": encoded.last_hidden_state,
            "source_keys": encoded.source_keys,
            "source_values": encoded.source_values,
        }
        cache = None if past_key_values is None else past_key_values.self_attention_cache
        return Seq2SeqLMOutput(logits=self.decoded(cache, inputs), past_key_values=past_key_values)
