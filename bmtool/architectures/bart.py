"""An encoder that reads a text both ways and a decoder that writes another: the layout of BART (Lewis et al. 2020)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import PositiveInt  # noqa: TC002  # pydantic reads the annotation below

from bmtool.config.units import Ratio  # noqa: TC001  # the same
from bmtool.models.building.sizes import Sized

if TYPE_CHECKING:
    from collections.abc import Mapping

    from transformers import PretrainedConfig


class Bart(Sized):
    """BART. A dimension that is given replaces the one of `size`; encoder and decoder have as many layers each.

    Dropout is what the checkpoint's config.json asks of fine-tuning; pretrain has a setting of its own, 0 by default.
    """

    layout = "encoder-decoder"
    objectives = ("denoising", "span_corruption")

    dropout: Ratio = 0.1
    max_position_embeddings: PositiveInt = 1024

    def config(self, *, vocab_size: int, max_seq_length: int, special_ids: Mapping[str, int]) -> PretrainedConfig:
        """A BartConfig with at least `max_seq_length` positions; writing starts with the end token, as in BART."""
        from transformers import BartConfig

        size = self.dimensions
        inner = self.intermediate_size or 4 * size.width
        end = special_ids.get("eos", special_ids.get("sep"))
        return BartConfig(
            vocab_size=vocab_size,
            d_model=size.width,
            encoder_layers=size.layers,
            decoder_layers=size.layers,
            encoder_attention_heads=size.heads,
            decoder_attention_heads=size.heads,
            encoder_ffn_dim=inner,
            decoder_ffn_dim=inner,
            max_position_embeddings=max(self.max_position_embeddings, max_seq_length),
            dropout=self.dropout,
            attention_dropout=self.dropout,
            pad_token_id=special_ids.get("pad", end),
            bos_token_id=special_ids.get("bos", special_ids.get("cls")),
            eos_token_id=end,
            decoder_start_token_id=end,
            forced_eos_token_id=end,
        )
