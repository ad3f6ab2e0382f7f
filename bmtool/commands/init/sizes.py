"""Lengths, vocabularies and budgets for the amount of text there is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bmtool.commands.init.columns import percentile

if TYPE_CHECKING:
    from bmtool.commands.init.columns import Column

#: Training budgets in tokens: what a tiny BERT gets through in a few minutes on two cores.
PRETRAIN_TOKENS = (400_000, 3_000_000)
FINETUNE_TOKENS = 2_000_000

#: Tokens of pre-training for each token of text: beyond it the same texts teach little that is new.
PRETRAIN_EPOCHS = 20


def max_seq_length(text: Column) -> int:
    """Room for 95 of 100 texts, within what trains in minutes."""
    tokens = percentile(text.lengths, 0.95) * text.tokens / max(text.chars, 1) + 2
    return next((length for length in (32, 64, 128) if tokens <= length), 256)


def vocab_size(text: Column, tokens: int) -> int:
    """More text, more words; in Chinese and its like, room for the characters, which get half of a vocabulary."""
    if text.han > 0.3 * text.chars:
        return 12_288
    return 8192 if tokens > 1_000_000 else 4096 if tokens > 100_000 else 2048


def pretrain_budget(tokens: int) -> str:
    """Tokens to pre-train on, as a setting."""
    return _count(min(max(PRETRAIN_EPOCHS * tokens, PRETRAIN_TOKENS[0]), PRETRAIN_TOKENS[1]))


def finetune_budget(tokens: int) -> str:
    """How long to fine-tune, as a setting."""
    epochs = FINETUNE_TOKENS // tokens
    return f"num_train_epochs: {min(epochs, 20)}" if epochs >= 2 else f"max_tokens: {_count(2 * FINETUNE_TOKENS)}"


def _count(tokens: int) -> str:
    return f"{tokens / 1e6:.1f}".removesuffix(".0") + "M" if tokens >= 1_000_000 else f"{tokens // 1000}k"
