"""How many positions a model has, from its configuration alone."""

from __future__ import annotations

from typing import Any

#: They know distances alone; the `n_positions` in the files of T5 say what it was trained with.
WITHOUT_POSITIONS = ("t5", "mt5", "umt5")

#: They count positions from behind their padding id (transformers, `create_position_ids_from_input_ids`).
AFTER_PADDING = ("roberta", "xlm-roberta")


def first_position(config: Any) -> int:
    """The position id of a document's first token."""
    return int(getattr(config, "pad_token_id", 1)) + 1 if config.model_type in AFTER_PADDING else 0


def longest_document(config: Any) -> int | None:
    """How many tokens the model has positions for; None: its configuration sets no limit."""
    length = getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None)
    if length is None or config.model_type in WITHOUT_POSITIONS:
        return None
    return int(length) - first_position(config)


def too_long(max_seq_length: int, longest: int | None, model: str) -> str:
    """Why texts of so many tokens can't be read by a model with `longest` positions, behind the setting; or nothing."""
    if longest is None or max_seq_length <= longest:
        return ""
    return f"is {max_seq_length}, and {model} has {longest} positions. Lower it"
