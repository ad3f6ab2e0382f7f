"""Parquet files, read a piece at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from bmtool.config.model import HOW
from bmtool.contracts import Rejected, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    import pyarrow as pa


class Parquet(Source):
    """Rows from Parquet files. `path` is a path, a glob, or a list of them."""

    suffixes: ClassVar[tuple[str, ...]] = (".parquet", ".pq")

    path: Annotated[str | tuple[str, ...], HOW]
    """A file, a pattern such as `data/*.parquet`, or a list of them."""

    def files(self) -> list[tuple[str, Path]]:
        """The files that `path` means, sorted by name."""
        from bmtool.data.files import find_files

        return find_files([self.path] if isinstance(self.path, str) else self.path)

    def read(
        self, columns: Mapping[str, str], schema: pa.Schema, reject: Callable[[Rejected], None]
    ) -> Iterator[pa.RecordBatch]:
        """Batches of rows; a row that lacks a value is rejected."""
        from bmtool.data.readers.parquet import read_parquet

        return read_parquet(self.files(), columns, schema, reject)
