"""What all sources have in common that read files named by a path or a pattern."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from bmtool.config.model import HOW
from bmtool.contracts import Source

if TYPE_CHECKING:
    from pathlib import Path


class FileSource(Source):
    """Rows from the files that `path` means."""

    path: Annotated[str | tuple[str, ...], HOW]
    """A file, a folder (all files in and below it with this source's endings), a pattern such as `data/*.csv`, `-` for
    standard input, or a list of them."""

    def files(self) -> list[tuple[str, Path]]:
        """The files that `path` means, sorted by name."""
        from bmtool.data.readers.files import find_files

        return find_files([self.path] if isinstance(self.path, str) else self.path, suffixes=self.suffixes)
