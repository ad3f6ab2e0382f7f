"""JSON lines: one object a line, plain or gzipped."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar

from bmtool.config.model import HOW
from bmtool.contracts import Rejected, Source

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    import pyarrow as pa


class Jsonl(Source):
    """Rows from files with one JSON object a line. `path` is a path, a glob, or a list of them."""

    suffixes: ClassVar[tuple[str, ...]] = (".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz")

    path: Annotated[str | tuple[str, ...], HOW]
    """A file, a pattern such as `data/*.jsonl`, or a list of them."""

    def files(self) -> list[tuple[str, Path]]:
        """The files that `path` means, sorted by name."""
        from bmtool.data.files import find_files

        return find_files([self.path] if isinstance(self.path, str) else self.path)

    def read(
        self, columns: Mapping[str, str], schema: pa.Schema, reject: Callable[[Rejected], None]
    ) -> Iterator[pa.RecordBatch]:
        """Batches of rows; a line that is no object, or lacks a value, is rejected."""
        from bmtool.data.readers.jsonl import read_jsonl

        return read_jsonl(self.files(), columns, schema, reject)
