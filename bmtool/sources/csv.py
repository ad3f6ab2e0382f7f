"""CSV or TSV with a header line, plain or packed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from bmtool.sources._files import FileSource

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from bmtool.contracts import Piece, Reading


class Csv(FileSource):
    """Rows from comma-separated files. `path` is a path, a folder, a glob, or a list of them."""

    suffixes: ClassVar[tuple[str, ...]] = (".csv", ".tsv")

    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    """None: a tab for `.tsv`, a comma else."""

    def read(self, piece: Piece, reading: Reading) -> Iterator[pa.RecordBatch]:
        """Batches of rows; a row with too few or too many fields is rejected."""
        from bmtool.data.readers.csv import read_csv

        return read_csv(piece, reading, delimiter=self.delimiter)
