"""A decoder that reads from left to right and predicts what follows: the layout of GPT-2 (Radford et al. 2019)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import PositiveInt  # noqa: TC002  # pydantic reads the annotation below

from bmtool.config.units import Ratio  # noqa: TC001  # the same
from bmtool.models.building.sizes import Sized

if TYPE_CHECKING:
    from collections.abc import Mapping

    from transformers import PretrainedConfig


class Gpt(Sized):
    """GPT-2. A dimension that is given replaces the one of `size`.

    Dropout is what the checkpoint's config.json asks of fine-tuning; pretrain has a setting of its own, 0 by default.
    """

    layout = "decoder"
    objectives = ("clm",)

    dropout: Ratio = 0.1
    max_position_embeddings: PositiveInt = 1024

    def config(self, *, vocab_size: int, max_seq_length: int, special_ids: Mapping[str, int]) -> PretrainedConfig:
        """A GPT2Config; it has at least `max_seq_length` positions."""
        from transformers import GPT2Config

        size = self.dimensions
        return GPT2Config(
            vocab_size=vocab_size,
            n_embd=size.width,
            n_layer=size.layers,
            n_head=size.heads,
            n_inner=self.intermediate_size or 4 * size.width,
            activation_function="gelu_pytorch_tanh",  # GPT-2's own formula, as one kernel instead of eight
            n_positions=max(self.max_position_embeddings, max_seq_length),
            resid_pdrop=self.dropout,
            embd_pdrop=self.dropout,
            attn_pdrop=self.dropout,
            pad_token_id=special_ids.get("pad"),
            bos_token_id=special_ids.get("bos"),
            eos_token_id=special_ids.get("eos"),
        )
