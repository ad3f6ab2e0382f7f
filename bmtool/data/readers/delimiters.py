"""What stands between the columns of a CSV file: it is said, or follows from the file's name, and is never guessed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bmtool.data.readers.unpack import inner_suffix

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

#: What stands between columns where it isn't the comma or the tab that was looked for.
OTHERS = ";\t|,"


def delimiter_of(path: Path, delimiter: str | None) -> str:
    """The character that separates fields: the one given, or a tab for `.tsv` and a comma else."""
    return delimiter or ("\t" if inner_suffix(path) == ".tsv" else ",")


def refused(delimiter: str) -> str:
    """Why this can't separate fields, with what can; nothing if it can."""
    if len(delimiter) == 1 and delimiter.isascii() and delimiter not in '"\r\n':
        return ""
    return f"{delimiter!r} can't separate fields. Use a character of ASCII, such as ; or |"


def other_delimiter(header: Collection[str]) -> str | None:
    """What else may separate the columns of a header in which only one was found."""
    (only,) = header if len(header) == 1 else ("",)
    return next((other for other in OTHERS if other in only), None)
