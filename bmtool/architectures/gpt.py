"""A decoder that reads from left to right and predicts what follows: the layout of GPT-2 (Radford et al. 2019)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import PositiveInt, model_validator

from bmtool.config.model import explained
from bmtool.config.units import Ratio  # noqa: TC001  # pydantic reads it
from bmtool.contracts import Architecture

if TYPE_CHECKING:
    from collections.abc import Mapping

    from transformers import PretrainedConfig

#: (width, layers, heads) of each size, the same as the encoder's; `base` is GPT-2's smallest.
SIZES = {"tiny": (128, 2, 2), "mini": (256, 4, 4), "small": (512, 6, 8), "base": (768, 12, 12)}


class Gpt(Architecture):
    """GPT-2. A dimension that is given replaces the one of `size`.

    Dropout is what the checkpoint's config.json asks of fine-tuning; pretrain has a setting of its own, 0 by default.
    """

    objectives = ("clm",)

    size: Literal["tiny", "mini", "small", "base"] = "tiny"
    hidden_size: PositiveInt | None = None
    num_hidden_layers: PositiveInt | None = None
    num_attention_heads: PositiveInt | None = None
    intermediate_size: PositiveInt | None = None
    max_position_embeddings: PositiveInt = 1024
    dropout: Ratio = 0.1

    @property
    def dimensions(self) -> tuple[int, int, int]:
        """Width, layers and heads."""
        width, layers, heads = SIZES[self.size]
        return self.hidden_size or width, self.num_hidden_layers or layers, self.num_attention_heads or heads

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Gpt:
        width, _, heads = self.dimensions
        if width % heads:
            raise explained(f"hidden_size ({width}) must be a multiple of num_attention_heads ({heads})")
        return self

    def config(self, *, vocab_size: int, max_seq_length: int, special_ids: Mapping[str, int]) -> PretrainedConfig:
        """A GPT2Config; it has at least `max_seq_length` positions."""
        from transformers import GPT2Config

        width, layers, heads = self.dimensions
        return GPT2Config(
            vocab_size=vocab_size,
            n_embd=width,
            n_layer=layers,
            n_head=heads,
            n_inner=self.intermediate_size or 4 * width,
            activation_function="gelu_pytorch_tanh",  # GPT-2's own formula, as one kernel instead of eight
            n_positions=max(self.max_position_embeddings, max_seq_length),
            resid_pdrop=self.dropout,
            embd_pdrop=self.dropout,
            attn_pdrop=self.dropout,
            pad_token_id=special_ids.get("pad"),
            bos_token_id=special_ids.get("bos"),
            eos_token_id=special_ids.get("eos"),
        )
