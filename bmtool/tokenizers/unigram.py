"""Unigram, as SentencePiece has it (T5, XLM-R): the likeliest way to write a word with pieces of a fixed set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field, model_validator

from bmtool.config.model import explained
from bmtool.contracts import TokenizerTrainer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tokenizers import Tokenizer


class Unigram(TokenizerTrainer):
    """A Unigram vocabulary of at most `vocab_size` tokens, <s> <pad> </s> <unk> <mask> among them."""

    #: Its trainer holds every frequent substring: 450 MB of memory for 16 MB of text, 600 MB for 64.
    sample_bytes: ClassVar[int] = 16 * 1024**2

    vocab_size: Annotated[int, Field(ge=32, le=1_000_000)] = 8192
    byte_fallback: bool = False
    """Whether characters without a piece are written by 256 tokens for bytes, which are part of the vocabulary; else
    they are <unk>."""

    @model_validator(mode="after")
    def _has_room_for_bytes(self) -> Unigram:
        if self.byte_fallback and self.vocab_size < 32 + 256:
            raise explained("with byte_fallback 256 tokens are bytes: set at least 288", at="vocab_size")
        return self

    def train(self, texts: Iterable[str]) -> Tokenizer:
        """Learn the pieces; the same texts give the same bytes in every process."""
        from bmtool.data.tokenizers import train_unigram

        return train_unigram(texts, self.vocab_size, byte_fallback=self.byte_fallback)

    def special_tokens(self) -> dict[str, str]:
        """The names transformers knows them by."""
        return {
            "bos_token": "<s>",
            "pad_token": "<pad>",
            "eos_token": "</s>",
            "unk_token": "<unk>",
            "cls_token": "<s>",
            "sep_token": "</s>",
            "mask_token": "<mask>",
        }
