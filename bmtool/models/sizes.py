"""How large a transformer is: a named size, or dimensions of one's own."""

from __future__ import annotations

from typing import Literal

from pydantic import PositiveInt, model_validator

from bmtool.config.model import explained
from bmtool.config.units import Ratio  # noqa: TC001  # pydantic reads it
from bmtool.contracts import Architecture

#: (width, layers, heads), as in Turc et al. 2019, "Well-read students learn better". `base` is BERT-base
#: and the smallest GPT-2.
SIZES = {"tiny": (128, 2, 2), "mini": (256, 4, 4), "small": (512, 6, 8), "base": (768, 12, 12)}


class Sized(Architecture):
    """Settings that transformers share. A dimension that is given replaces the one of `size`."""

    size: Literal["tiny", "mini", "small", "base"] = "tiny"
    hidden_size: PositiveInt | None = None
    num_hidden_layers: PositiveInt | None = None
    num_attention_heads: PositiveInt | None = None
    intermediate_size: PositiveInt | None = None
    dropout: Ratio = 0.1

    @property
    def dimensions(self) -> tuple[int, int, int]:
        """Width, layers and heads."""
        width, layers, heads = SIZES[self.size]
        return self.hidden_size or width, self.num_hidden_layers or layers, self.num_attention_heads or heads

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Sized:
        width, _, heads = self.dimensions
        if width % heads:
            raise explained(f"hidden_size ({width}) must be a multiple of num_attention_heads ({heads})")
        return self
