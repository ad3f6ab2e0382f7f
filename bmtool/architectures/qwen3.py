"""A decoder that also normalises queries and keys: the layout of Qwen3 (Yang et al. 2025)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import PositiveInt  # noqa: TC002  # pydantic reads the annotations below

from bmtool.models.building.sizes import SharedHeads, Size

if TYPE_CHECKING:
    from collections.abc import Mapping

    from transformers import PretrainedConfig


class Qwen3(SharedHeads):
    """Qwen3. It has no dropout.

    `base` is Qwen3-0.6B (Yang et al. 2025, "Qwen3 technical report", table 1), whose 440 M weights beside the
    vocabulary are four times those of other architectures' `base`. Nothing smaller was published: the smaller sizes
    have the widths of BERT's.
    """

    layout = "decoder"
    objectives = ("clm",)
    sizes: ClassVar = {
        "tiny": Size(128, 2, 2, key_heads=1),
        "mini": Size(256, 4, 4, key_heads=2),
        "small": Size(512, 6, 8, key_heads=4),
        "base": Size(1024, 28, 16, key_heads=8),
    }

    max_position_embeddings: PositiveInt = 32768
    head_dim: PositiveInt | None = None
    """The width of a head; by default 128 for `base`, as published, else hidden_size / num_attention_heads."""

    def config(self, *, vocab_size: int, max_seq_length: int, special_ids: Mapping[str, int]) -> PretrainedConfig:
        """A Qwen3Config with one matrix for tokens in and out; it has at least `max_seq_length` positions."""
        from transformers import Qwen3Config

        size = self.dimensions
        published = 128 if size == self.sizes["base"] else size.width // size.heads
        return Qwen3Config(
            vocab_size=vocab_size,
            hidden_size=size.width,
            num_hidden_layers=size.layers,
            num_attention_heads=size.heads,
            num_key_value_heads=size.key_heads,
            head_dim=self.head_dim or published,
            intermediate_size=self.intermediate_size or 3 * size.width,
            max_position_embeddings=max(self.max_position_embeddings, max_seq_length),
            rope_parameters={"rope_type": "default", "rope_theta": 1_000_000.0},
            tie_word_embeddings=True,
            pad_token_id=special_ids.get("pad"),
            bos_token_id=special_ids.get("bos", special_ids.get("cls")),
            eos_token_id=special_ids.get("eos", special_ids.get("sep")),
        )
