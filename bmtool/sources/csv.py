"""CSV or TSV with a header line, plain or packed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field, field_validator

from bmtool.config.model import explained
from bmtool.sources._files import FileSource

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pyarrow as pa

    from bmtool.contracts import Piece, Reading


class Csv(FileSource):
    """Rows from comma-separated files. `path` is a path, a folder, a glob, or a list of them."""

    suffixes: ClassVar[tuple[str, ...]] = (".csv", ".tsv")

    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    """None: a tab for `.tsv`, a comma else."""

    @field_validator("delimiter")
    @classmethod
    def _is_ascii(cls, delimiter: str | None) -> str | None:
        if delimiter is not None and (not delimiter.isascii() or delimiter in '"\r\n'):
            raise explained(f"{delimiter!r} can't separate fields. Use a character of ASCII, such as ; or |")
        return delimiter

    def pieces(self, name: str, path: Path, sha256: str) -> Iterator[Piece]:
        """Some whole rows each, about 16 MiB unpacked, with the header."""
        from bmtool.data.readers.csv import cut_csv, delimiter_of

        del sha256  # a piece is known by its own bytes
        return cut_csv(name, path, delimiter_of(path, self.delimiter))

    def read(self, piece: Piece, reading: Reading) -> Iterator[pa.RecordBatch]:
        """Batches of rows; a row with too few or too many fields is rejected."""
        from bmtool.data.readers.csv import delimiter_of, read_csv

        return read_csv(piece, reading, delimiter_of(piece.path, self.delimiter))
