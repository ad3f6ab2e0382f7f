"""How large a transformer is: a named size, or dimensions of one's own."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003  # pydantic reads the ClassVar annotation below
from typing import ClassVar, Literal, NamedTuple

from pydantic import PositiveInt, model_validator

from bmtool.config.model import explained
from bmtool.contracts import Architecture


class Size(NamedTuple):
    """Dimensions of a transformer."""

    width: int
    layers: int
    heads: int
    key_heads: int = 0
    """Heads of keys and values, where several heads share one; 0: each has its own."""


class Sized(Architecture):
    """Settings that transformers share. A dimension that is given replaces the one of `size`."""

    #: The widths of Turc et al. 2019, "Well-read students learn better"; `base` is BERT-base and the smallest GPT-2.
    sizes: ClassVar[Mapping[str, Size]] = {
        "tiny": Size(128, 2, 2),
        "mini": Size(256, 4, 4),
        "small": Size(512, 6, 8),
        "base": Size(768, 12, 12),
    }

    size: Literal["tiny", "mini", "small", "base"] = "tiny"
    hidden_size: PositiveInt | None = None
    num_hidden_layers: PositiveInt | None = None
    num_attention_heads: PositiveInt | None = None
    intermediate_size: PositiveInt | None = None

    @property
    def dimensions(self) -> Size:
        """What is given, and the rest from `size`."""
        named = self.sizes[self.size]
        return Size(
            width=self.hidden_size or named.width,
            layers=self.num_hidden_layers or named.layers,
            heads=self.num_attention_heads or named.heads,
        )

    @model_validator(mode="after")
    def _heads_divide_width(self) -> Sized:
        size = self.dimensions
        if size.width % size.heads:
            raise explained(f"hidden_size ({size.width}) must be a multiple of num_attention_heads ({size.heads})")
        return self


class SharedHeads(Sized):
    """The same for decoders in which several heads share keys and values (Ainslie et al. 2023, "GQA")."""

    num_key_value_heads: PositiveInt | None = None
    """By default that of the size; with another number of heads, as many as those."""

    @property
    def dimensions(self) -> Size:
        """What is given, and the rest from `size`."""
        size, named = super().dimensions, self.sizes[self.size]
        shared = named.key_heads if size.heads == named.heads else size.heads
        return Size(size.width, size.layers, size.heads, self.num_key_value_heads or shared)

    @model_validator(mode="after")
    def _key_heads_divide_heads(self) -> SharedHeads:
        size = self.dimensions
        if size.heads % size.key_heads:
            raise explained(
                f"num_attention_heads ({size.heads}) must be a multiple of num_key_value_heads ({size.key_heads})"
            )
        return self
