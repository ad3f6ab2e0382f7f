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
    sentinels: Annotated[int, Field(ge=0, le=1000)] = 0
    """How many `<extra_id_N>` there are: what stands for text that is left out, in objective span_corruption. 100 are
    enough for texts of 2,000 tokens, and T5 has as many."""

    @model_validator(mode="after")
    def _has_room(self) -> Unigram:
        least = 32 + 256 * self.byte_fallback + self.sentinels
        if self.vocab_size < least:
            why = ["with byte_fallback 256 tokens are bytes"] * self.byte_fallback
            why += [f"{self.sentinels} are sentinels"] * bool(self.sentinels)
            raise explained(f"{' and '.join(why)}: set at least {least}", at="vocab_size")
        return self

    def train(self, texts: Iterable[str]) -> Tokenizer:
        """Learn the pieces; the same texts give the same bytes in every process."""
        from bmtool.data.tokenizing.tokenizers import sentinels, train_unigram

        more = sentinels(self.sentinels)
        return train_unigram(texts, self.vocab_size, byte_fallback=self.byte_fallback, more=more)

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
