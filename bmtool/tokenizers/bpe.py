"""Byte-level BPE, as GPT-2 has it: any text in any script, no unknown token."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from bmtool.contracts import TokenizerTrainer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tokenizers import Tokenizer


class Bpe(TokenizerTrainer):
    """Byte-level BPE with at most `vocab_size` tokens: `<|endoftext|>`, `<|pad|>`, the 256 bytes, then merges."""

    vocab_size: Annotated[int, Field(ge=258, le=1_000_000)] = 8192

    def train(self, texts: Iterable[str]) -> Tokenizer:
        """Learn the merges; the same texts give the same bytes in every process."""
        from bmtool.data.tokenizers import train_bpe

        return train_bpe(texts, self.vocab_size)

    def special_tokens(self) -> dict[str, str]:
        """The names transformers knows them by."""
        from bmtool.data.tokenizers import BPE_SPECIALS

        return BPE_SPECIALS

    def transformers_settings(self) -> dict[str, Any]:
        """GPT2Tokenizer; no space is put before the first word."""
        return {"tokenizer_class": "GPT2Tokenizer", "add_prefix_space": False}
