"""Plain text files: text, file."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from bmtool.sources._files import FileSource

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pyarrow as pa

    from bmtool.contracts import Piece, Reading


class Text(FileSource):
    """Rows from plain text in UTF-8: a line, a paragraph or a file each."""

    suffixes: ClassVar[tuple[str, ...]] = (".txt",)

    rows: Literal["lines", "paragraphs", "files"] = "lines"
    """What a row is. Paragraphs are separated by blank lines."""

    def pieces(self, name: str, path: Path, sha256: str) -> Iterator[Piece]:
        """Some whole lines or paragraphs each, about 16 MiB unpacked; or the file."""
        from bmtool.data.readers.lines import cut_lines

        if self.rows == "files":
            return super().pieces(name, path, sha256)
        return cut_lines(name, path, by_paragraph=self.rows == "paragraphs")

    def read(self, piece: Piece, reading: Reading) -> Iterator[pa.RecordBatch]:
        """Batches of rows; one that isn't UTF-8 is rejected."""
        from bmtool.data.readers.text import COLUMNS, read_lines, read_paragraphs
        from bmtool.data.readers.whole import check_columns, parse_text, read_whole

        check_columns(reading, COLUMNS, "text")
        if self.rows == "files":
            return read_whole(piece, reading, parse_text)
        return (read_paragraphs if self.rows == "paragraphs" else read_lines)(piece, reading)
