"""An encoder that reads a text in both directions: the layout of BERT (Devlin et al. 2019)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import PositiveInt  # noqa: TC002  # pydantic reads the annotation below

from bmtool.config.units import Ratio  # noqa: TC001  # the same
from bmtool.models.building.sizes import Sized

if TYPE_CHECKING:
    from collections.abc import Mapping

    from transformers import PretrainedConfig


class Bert(Sized):
    """BERT. A dimension that is given replaces the one of `size`.

    Dropout is what the checkpoint's config.json asks of fine-tuning; pretrain has a setting of its own, 0 by default.
    """

    layout = "encoder"
    objectives = ("mlm", "mlm_nsp")
    detours = ("clm",)

    dropout: Ratio = 0.1
    max_position_embeddings: PositiveInt = 512

    def config(self, *, vocab_size: int, max_seq_length: int, special_ids: Mapping[str, int]) -> PretrainedConfig:
        """A BertConfig; it has at least `max_seq_length` positions."""
        from transformers import BertConfig

        size = self.dimensions
        return BertConfig(
            vocab_size=vocab_size,
            hidden_size=size.width,
            num_hidden_layers=size.layers,
            num_attention_heads=size.heads,
            intermediate_size=self.intermediate_size or 4 * size.width,
            max_position_embeddings=max(self.max_position_embeddings, max_seq_length),
            hidden_dropout_prob=self.dropout,
            attention_probs_dropout_prob=self.dropout,
            pad_token_id=special_ids.get("pad"),
        )
