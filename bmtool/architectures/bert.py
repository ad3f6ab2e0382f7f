"""An encoder that reads a text in both directions: the layout of BERT (Devlin et al. 2019)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import PositiveInt, model_validator

from bmtool.config.model import explained
from bmtool.config.units import Ratio  # noqa: TC001  # pydantic reads it
from bmtool.contracts import Architecture

if TYPE_CHECKING:
    from collections.abc import Mapping

    from transformers import PretrainedConfig

#: (width, layers, heads) of each size: those of Turc et al. 2019, "Well-read students learn better", and BERT-base.
SIZES = {"tiny": (128, 2, 2), "mini": (256, 4, 4), "small": (512, 6, 8), "base": (768, 12, 12)}


class Bert(Architecture):
    """BERT. A dimension that is given replaces the one of `size`.

    Dropout is what the checkpoint's config.json asks of fine-tuning; pretrain has a setting of its own, 0 by default.
    """

    objectives = ("mlm",)

    size: Literal["tiny", "mini", "small", "base"] = "tiny"
    hidden_size: PositiveInt | None = None
    num_hidden_layers: PositiveInt | None = None
    num_attention_heads: PositiveInt | None = None
    intermediate_size: PositiveInt | None = None
    max_position_embeddings: PositiveInt = 512
    dropout: Ratio = 0.1

    @property
    def dimensions(self) -> tuple[int, int, int]:
        """Width, layers and heads."""
        width, layers, heads = SIZES[self.size]
        return self.hidden_size or width, self.num_hidden_layers or layers, self.num_attention_heads or heads

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Bert:
        width, _, heads = self.dimensions
        if width % heads:
            raise explained(f"hidden_size ({width}) must be a multiple of num_attention_heads ({heads})")
        return self

    def config(self, *, vocab_size: int, max_seq_length: int, special_ids: Mapping[str, int]) -> PretrainedConfig:
        """A BertConfig; it has at least `max_seq_length` positions."""
        from transformers import BertConfig

        width, layers, heads = self.dimensions
        return BertConfig(
            vocab_size=vocab_size,
            hidden_size=width,
            num_hidden_layers=layers,
            num_attention_heads=heads,
            intermediate_size=self.intermediate_size or 4 * width,
            max_position_embeddings=max(self.max_position_embeddings, max_seq_length),
            hidden_dropout_prob=self.dropout,
            attention_probs_dropout_prob=self.dropout,
            pad_token_id=special_ids.get("pad"),
        )
