"""WordPiece, as BERT has it: words split into pieces, every Han character a word of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from bmtool.contracts import TokenizerTrainer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tokenizers import Tokenizer


class Wordpiece(TokenizerTrainer):
    """A WordPiece vocabulary of at most `vocab_size` tokens, [PAD] [UNK] [CLS] [SEP] [MASK] among them."""

    vocab_size: Annotated[int, Field(ge=32, le=1_000_000)] = 8192
    lowercase: bool = True
    """Also takes accents off, as BERT's uncased models do."""

    def train(self, texts: Iterable[str]) -> Tokenizer:
        """Learn the vocabulary; the same texts give the same bytes in every process."""
        from bmtool.data.tokenizing.tokenizers import train_wordpiece

        return train_wordpiece(texts, self.vocab_size, lowercase=self.lowercase)

    def special_tokens(self) -> dict[str, str]:
        """The names transformers knows them by."""
        from bmtool.data.tokenizing.tokenizers import WORDPIECE_SPECIALS

        return WORDPIECE_SPECIALS

    def transformers_settings(self) -> dict[str, Any]:
        """BertTokenizer, with the same normalisation."""
        return {
            "tokenizer_class": "BertTokenizer",
            "do_lower_case": self.lowercase,
            "strip_accents": None,
            "tokenize_chinese_chars": True,
        }
