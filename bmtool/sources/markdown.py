"""Markdown files, a row each: text, file."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from bmtool.sources._files import FileSource

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from bmtool.contracts import Piece, Reading


class Markdown(FileSource):
    """Rows from Markdown in UTF-8, one a file: as it is, without its front matter."""

    suffixes: ClassVar[tuple[str, ...]] = (".md", ".markdown")

    def read(self, piece: Piece, reading: Reading) -> Iterator[pa.RecordBatch]:
        """The file as one row; one that isn't UTF-8 is rejected."""
        from bmtool.data.readers.whole import check_columns, parse_markdown, read_whole

        check_columns(reading, ("text", "file"), "markdown")
        return read_whole(piece, reading, parse_markdown)
