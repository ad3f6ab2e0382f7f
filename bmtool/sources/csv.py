"""CSV or TSV with a header line, plain or gzipped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from bmtool.config.model import HOW
from bmtool.contracts import Rejected, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    import pyarrow as pa


class Csv(Source):
    """Rows from comma-separated files. `path` is a path, a glob, or a list of them."""

    suffixes: ClassVar[tuple[str, ...]] = (".csv", ".csv.gz", ".tsv", ".tsv.gz")

    path: Annotated[str | tuple[str, ...], HOW]
    """A file, a pattern such as `data/*.csv`, or a list of them."""
    delimiter: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    """None: a tab for `.tsv`, a comma else."""

    def files(self) -> list[tuple[str, Path]]:
        """The files that `path` means, sorted by name."""
        from bmtool.data.files import find_files

        return find_files([self.path] if isinstance(self.path, str) else self.path)

    def read(
        self, columns: Mapping[str, str], schema: pa.Schema, reject: Callable[[Rejected], None]
    ) -> Iterator[pa.RecordBatch]:
        """Batches of rows; a row with too few or too many fields is rejected."""
        from bmtool.data.readers.csv import read_csv

        return read_csv(self.files(), columns, schema, reject, delimiter=self.delimiter)
