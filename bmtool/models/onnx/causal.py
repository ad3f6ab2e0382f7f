"""A decoder whose work onnxruntime does, by the graph of `bmtool.models.onnx.writer`. Shape letters as there."""

from __future__ import annotations

from typing import Any

import torch
from transformers.modeling_outputs import CausalLMOutputWithPast

from bmtool.models.onnx.search import Searched


class OnnxCausal(Searched):
    """The graph of a bundle as a model that goes on with a text."""

    def forward(
        self,
        input_ids: Any = None,
        attention_mask: Any = None,
        position_ids: Any = None,
        past_key_values: Any = None,
        **_: Any,
    ) -> CausalLMOutputWithPast:
        """Logits (N, U, V) of the tokens behind what the cache has; without a mask (N, P + U) no token is padding."""
        past = 0 if past_key_values is None else past_key_values.get_seq_length()
        count = past + input_ids.shape[1]
        mask = torch.ones((len(input_ids), count), dtype=torch.int64) if attention_mask is None else attention_mask
        places = torch.arange(past, count)[None].expand_as(input_ids) if position_ids is None else position_ids
        inputs = {"input_ids": input_ids, "attention_mask": mask, "position_ids": places.expand_as(input_ids)}
        return CausalLMOutputWithPast(logits=self.decoded(past_key_values, inputs), past_key_values=past_key_values)
