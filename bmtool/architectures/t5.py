"""An encoder and a decoder that know how far tokens are apart, and not where: the layout of T5 (Raffel et al. 2020)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bmtool.config.units import Ratio  # noqa: TC001  # pydantic reads the annotation below
from bmtool.models.building.sizes import Sized

if TYPE_CHECKING:
    from collections.abc import Mapping

    from transformers import PretrainedConfig


class T5(Sized):
    """T5 1.1, with gated units. A dimension that is given replaces the one of `size`; both sides have as many layers.

    Sizes count the layers of one side, as T5's papers do. The embeddings are shared with the output, as in T5 1.0, as
    small models gain by it; outputs aren't scaled down, as in T5 1.1, since models from new weights learn faster so.
    """

    layout = "encoder-decoder"
    objectives = ("span_corruption", "denoising")

    dropout: Ratio = 0.1

    def config(self, *, vocab_size: int, max_seq_length: int, special_ids: Mapping[str, int]) -> PretrainedConfig:
        """A T5Config, for texts of any length; writing starts with the padding token, as in T5, or the end token."""
        from transformers import T5Config

        del max_seq_length
        size = self.dimensions
        padding = special_ids.get("pad", special_ids.get("eos"))
        config = T5Config(
            vocab_size=vocab_size,
            d_model=size.width,
            d_kv=size.width // size.heads,
            # Two matrices go in and one comes out: two thirds of 4 widths have as many numbers as without gates.
            d_ff=self.intermediate_size or 8 * size.width // 3 // 8 * 8,
            num_layers=size.layers,
            num_decoder_layers=size.layers,
            num_heads=size.heads,
            feed_forward_proj="gated-gelu",
            dropout_rate=self.dropout,
            pad_token_id=padding,
            eos_token_id=special_ids.get("eos", special_ids.get("sep")),
        )
        config.decoder_start_token_id = padding  # transformers' T5Config takes it, and doesn't say so
        config.scale_decoder_outputs = False  # `tie_word_embeddings: false` would say it, and tie them all the same
        return config
