"""Byte-level BPE, as GPT-2 has it: any text in any script, no unknown token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, model_validator

from bmtool.config.model import explained
from bmtool.contracts import TokenizerTrainer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tokenizers import Tokenizer


class Bpe(TokenizerTrainer):
    """Byte-level BPE with at most `vocab_size` tokens: `<|endoftext|>`, `<|pad|>`, the 256 bytes, then merges."""

    vocab_size: Annotated[int, Field(ge=258, le=1_000_000)] = 8192
    mask: bool = False
    """Whether there is a `<mask>`, with which the objectives denoising and mlm hide text."""
    sentinels: Annotated[int, Field(ge=0, le=1000)] = 0
    """How many `<extra_id_N>` there are: what stands for text that is left out, in objective span_corruption. 100 are
    enough for texts of 2,000 tokens, and T5 has as many."""

    @model_validator(mode="after")
    def _has_room_for_specials(self) -> Bpe:
        least = 258 + self.mask + self.sentinels
        if self.vocab_size < least:
            raise explained(f"bytes and special tokens alone are {least}", at="vocab_size")
        return self

    def train(self, texts: Iterable[str]) -> Tokenizer:
        """Learn the merges; the same texts give the same bytes in every process."""
        from bmtool.data.tokenizing.tokenizers import MASK, sentinels, train_bpe

        return train_bpe(texts, self.vocab_size, more=[MASK] * self.mask + sentinels(self.sentinels))

    def special_tokens(self) -> dict[str, str]:
        """The names transformers knows them by."""
        from bmtool.data.tokenizing.tokenizers import BPE_SPECIALS, MASK

        return {**BPE_SPECIALS, **({"mask_token": MASK} if self.mask else {})}

    def transformers_settings(self) -> dict[str, Any]:
        """GPT2Tokenizer; no space is put before the first word."""
        return {"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": False}
