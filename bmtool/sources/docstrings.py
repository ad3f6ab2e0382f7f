"""Docstrings of installed packages and the standard library: text, package, kind, file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from bmtool.contracts import Source

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pyarrow as pa

    from bmtool.contracts import Piece, Reading


class Docstrings(Source):
    """Docstrings of the running environment. `packages` names import packages such as sklearn, or `stdlib`.

    With `tags: parameters`, functions only: `words` of the docstring, and `tags` that mark the function's parameters.
    """

    packages: tuple[str, ...] | None = None
    tags: Literal["parameters"] | None = None

    def files(self) -> list[tuple[str, Path]]:
        """Each distribution's RECORD, and the standard library's os.py."""
        from bmtool.data.readers.docstrings import identities

        return identities(self.packages)

    def num_bytes(self) -> int:
        """The bytes of all Python files: a RECORD only lists them."""
        return sum(piece.size for name, path in self.files() for piece in self.pieces(name, path, ""))

    def pieces(self, name: str, path: Path, sha256: str) -> Iterator[Piece]:
        """Some files of a distribution each, about 4 MiB of code."""
        from bmtool.data.readers.docstrings import cut_distribution

        return cut_distribution(name, path, sha256, self.packages)

    def read(self, piece: Piece, reading: Reading) -> Iterator[pa.RecordBatch]:
        """Batches of docstrings in the order of files and lines."""
        from bmtool.data.readers.docstrings import read_docstrings

        return read_docstrings(piece, reading, self.packages, tag_parameters=self.tags == "parameters")
