"""CSV or TSV with a header line, plain or packed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field, field_validator

from bmtool.config.model import explained
from bmtool.data.readers.delimiters import delimiter_of, refused
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
    decimal: Literal[".", ","] = "."
    """What stands before the fraction of a number. With a comma, a number with a point isn't read: it may stand for
    thousands. A point is what most programs write."""
    list_separator: Annotated[str, Field(min_length=1)] | None = None
    """What stands between the labels, words or tags of a field; white space around them goes, and an empty field is no
    label. None: fields hold no lists."""

    @field_validator("delimiter")
    @classmethod
    def _is_ascii(cls, delimiter: str | None) -> str | None:
        if delimiter is not None and (why := refused(delimiter)):
            raise explained(why)
        return delimiter

    def pieces(self, name: str, path: Path, sha256: str) -> Iterator[Piece]:
        """Some whole rows each, about 16 MiB unpacked, with the header."""
        from bmtool.data.readers.csv import cut_csv

        del sha256  # a piece is known by its own bytes
        return cut_csv(name, path, self._delimiter(path))

    def read(self, piece: Piece, reading: Reading) -> Iterator[pa.RecordBatch]:
        """Batches of rows; a row with too few or too many fields is rejected."""
        from bmtool.data.readers.csv import read_csv

        return read_csv(
            piece,
            reading,
            self._delimiter(piece.path),
            decimal=self.decimal,
            list_separator=self.list_separator,
        )

    def _delimiter(self, path: Path) -> int:
        return ord(delimiter_of(path, self.delimiter))
