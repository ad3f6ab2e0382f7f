"""JSON lines: one object a line, plain or packed."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from bmtool.sources._files import FileSource

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pyarrow as pa

    from bmtool.contracts import Piece, Reading


class Jsonl(FileSource):
    """Rows from files with one JSON object a line. `path` is a path, a folder, a glob, or a list of them."""

    suffixes: ClassVar[tuple[str, ...]] = (".jsonl", ".ndjson")

    def pieces(self, name: str, path: Path, sha256: str) -> Iterator[Piece]:
        """Some whole lines each, about 16 MiB unpacked."""
        from bmtool.data.readers.lines import cut_lines

        del sha256  # a piece is known by its own bytes
        return cut_lines(name, path)

    def read(self, piece: Piece, reading: Reading) -> Iterator[pa.RecordBatch]:
        """Batches of rows; a line that is no object, or lacks a value, is rejected."""
        from bmtool.data.readers.jsonl import read_jsonl

        return read_jsonl(piece, reading)
