"""An encoder for long texts, in which most layers see only what is near: ModernBERT (Warner et al. 2024)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import PositiveInt  # noqa: TC002  # pydantic reads the annotations below

from bmtool.config.units import Ratio  # noqa: TC001  # the same
from bmtool.models.building.sizes import Size, Sized

if TYPE_CHECKING:
    from collections.abc import Mapping

    from transformers import PretrainedConfig


class Modernbert(Sized):
    """ModernBERT: rotary positions, gated layers, and two of three layers see `local_attention` tokens alone.

    `base` is ModernBERT-base (Warner et al. 2024, "Smarter, better, faster, longer"), `small` and `mini` are Ettin's
    68M and 17M (Weller et al. 2025, "Seq vs seq"), and `tiny` is ours. Dropout is what the checkpoint's config.json
    asks of fine-tuning; the published models have none.
    """

    layout = "encoder"
    objectives = ("mlm",)
    detours = ("clm",)
    sizes: ClassVar = {
        "tiny": Size(128, 4, 2),
        "mini": Size(256, 7, 4),
        "small": Size(512, 19, 8),
        "base": Size(768, 22, 12),
    }

    dropout: Ratio = 0.0
    max_position_embeddings: PositiveInt = 8192
    local_attention: PositiveInt = 128
    global_attn_every_n_layers: PositiveInt = 3

    def config(self, *, vocab_size: int, max_seq_length: int, special_ids: Mapping[str, int]) -> PretrainedConfig:
        """A ModernBertConfig; it has at least `max_seq_length` positions."""
        from transformers import ModernBertConfig

        size = self.dimensions
        first, last = (
            special_ids.get(name, special_ids.get(other)) for name, other in (("cls", "bos"), ("sep", "eos"))
        )
        return ModernBertConfig(
            vocab_size=vocab_size,
            hidden_size=size.width,
            num_hidden_layers=size.layers,
            num_attention_heads=size.heads,
            intermediate_size=self.intermediate_size or 3 * size.width // 2,
            max_position_embeddings=max(self.max_position_embeddings, max_seq_length),
            local_attention=self.local_attention,
            layer_types=[
                "sliding_attention" if layer % self.global_attn_every_n_layers else "full_attention"
                for layer in range(size.layers)
            ],
            embedding_dropout=self.dropout,
            mlp_dropout=self.dropout,
            classifier_dropout=self.dropout,
            pad_token_id=special_ids.get("pad"),
            bos_token_id=first,
            cls_token_id=first,
            eos_token_id=last,
            sep_token_id=last,
        )
