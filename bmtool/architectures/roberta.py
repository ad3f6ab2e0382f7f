"""BERT as it is trained without sentence pairs, for longer and on more text: RoBERTa (Liu et al. 2019)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import PositiveInt  # noqa: TC002  # pydantic reads the annotation below

from bmtool.config.units import Ratio  # noqa: TC001  # the same
from bmtool.errors import ConfigError
from bmtool.models.building.sizes import Sized

if TYPE_CHECKING:
    from collections.abc import Mapping

    from transformers import PretrainedConfig


class Roberta(Sized):
    """RoBERTa; `base` is roberta-base (Liu et al. 2019, table 9), the smaller sizes are BERT's.

    Dropout is what the checkpoint's config.json asks of fine-tuning; pretrain has a setting of its own, 0 by default.
    """

    layout = "encoder"
    objectives = ("mlm",)
    detours = ("clm",)

    dropout: Ratio = 0.1
    max_position_embeddings: PositiveInt = 512

    def config(self, *, vocab_size: int, max_seq_length: int, special_ids: Mapping[str, int]) -> PretrainedConfig:
        """A RobertaConfig; it counts positions from behind the padding id, and has room for `max_seq_length`.

        Raises:
            ConfigError: the tokenizer has no padding token.
        """
        from transformers import RobertaConfig

        if "pad" not in special_ids:
            raise ConfigError(
                "architecture roberta counts positions from the id of the padding token, and the tokenizer has none. "
                "Add one as pad_token, or use bert"
            )
        size, padding = self.dimensions, special_ids["pad"]
        return RobertaConfig(
            vocab_size=vocab_size,
            hidden_size=size.width,
            num_hidden_layers=size.layers,
            num_attention_heads=size.heads,
            intermediate_size=self.intermediate_size or 4 * size.width,
            max_position_embeddings=max(self.max_position_embeddings, max_seq_length) + padding + 1,
            type_vocab_size=1,
            layer_norm_eps=1e-5,
            hidden_dropout_prob=self.dropout,
            attention_probs_dropout_prob=self.dropout,
            pad_token_id=padding,
            bos_token_id=special_ids.get("bos", special_ids.get("cls")),
            eos_token_id=special_ids.get("eos", special_ids.get("sep")),
        )
