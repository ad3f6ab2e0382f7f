"""A decoder with rotary positions, gated layers and shared keys: the layout of Llama (Touvron et al. 2023)."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import PositiveInt  # noqa: TC002  # pydantic reads the annotation below

from bmtool.models.building.sizes import SharedHeads, Size

if TYPE_CHECKING:
    from collections.abc import Mapping

    from transformers import PretrainedConfig


class Llama(SharedHeads):
    """Llama. It has no dropout.

    `base` is SmolLM2-135M (Allal et al. 2025), `small` and `mini` are stories42M and stories15M of karpathy/llama2.c,
    and `tiny` is ours.
    """

    layout = "decoder"
    objectives = ("clm",)
    sizes: ClassVar = {
        "tiny": Size(128, 2, 2, key_heads=2),
        "mini": Size(288, 6, 6, key_heads=6),
        "small": Size(512, 8, 8, key_heads=8),
        "base": Size(576, 30, 9, key_heads=3),
    }

    max_position_embeddings: PositiveInt = 8192

    def config(self, *, vocab_size: int, max_seq_length: int, special_ids: Mapping[str, int]) -> PretrainedConfig:
        """A LlamaConfig with one matrix for tokens in and out; it has at least `max_seq_length` positions."""
        from transformers import LlamaConfig

        size = self.dimensions
        return LlamaConfig(
            vocab_size=vocab_size,
            hidden_size=size.width,
            num_hidden_layers=size.layers,
            num_attention_heads=size.heads,
            num_key_value_heads=size.key_heads,
            # 8/3 widths, since a gated layer has three matrices and not two; to the next multiple of 32, as llama2.c.
            intermediate_size=self.intermediate_size or -(-8 * size.width // 96) * 32,
            max_position_embeddings=max(self.max_position_embeddings, max_seq_length),
            rms_norm_eps=1e-5,
            rope_parameters={"rope_type": "default", "rope_theta": 100_000.0},
            tie_word_embeddings=True,
            pad_token_id=special_ids.get("pad"),
            bos_token_id=special_ids.get("bos", special_ids.get("cls")),
            eos_token_id=special_ids.get("eos", special_ids.get("sep")),
        )
