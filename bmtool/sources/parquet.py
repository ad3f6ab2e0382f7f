"""Parquet files, read some row groups at a time."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from bmtool.sources._files import FileSource

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pyarrow as pa

    from bmtool.contracts import Piece, Reading


class Parquet(FileSource):
    """Rows from Parquet files. `path` is a path, a folder, a glob, or a list of them."""

    suffixes: ClassVar[tuple[str, ...]] = (".parquet", ".pq")

    def pieces(self, name: str, path: Path, sha256: str) -> Iterator[Piece]:
        """Row groups, about 64 MiB unpacked."""
        from bmtool.data.readers.parquet import cut_parquet

        return cut_parquet(name, path, sha256)

    def read(self, piece: Piece, reading: Reading) -> Iterator[pa.RecordBatch]:
        """Batches of rows; a row that lacks a value is rejected."""
        from bmtool.data.readers.parquet import read_parquet

        return read_parquet(piece, reading)
