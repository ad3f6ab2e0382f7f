"""The files that a tokenizer is made of in a transformers folder; nothing heavy is imported to name them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bmtool.errors import MissingInputError

if TYPE_CHECKING:
    from pathlib import Path


def no_tokenizer(folder: Path) -> MissingInputError:
    """The error for a folder without `tokenizer.json`."""
    return MissingInputError(
        f"{folder}: tokenizer.json is missing. For an older checkpoint, write it once with "
        "transformers: AutoTokenizer.from_pretrained(FOLDER).save_pretrained(FOLDER)"
    )


#: How messages become one text.
CHAT_TEMPLATE = "chat_template.jinja"

#: What a tokenizer is made of in a transformers folder, as far as it exists; the first is a must.
TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
    CHAT_TEMPLATE,
)


def tokenizer_files(folder: Path) -> list[tuple[str, Path]]:
    """(stable name, path) of a folder's tokenizer files.

    Raises:
        MissingInputError: there is no `tokenizer.json`.
    """
    if not (folder / "tokenizer.json").is_file():
        raise no_tokenizer(folder)
    names = [name for name in TOKENIZER_FILES if (folder / name).is_file()]
    return [(f"tokenizer/{name}", folder / name) for name in names]
