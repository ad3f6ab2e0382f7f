"""HTML files, a row each: text (the main one), title, file."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from bmtool.sources._files import FileSource

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pyarrow as pa

    from bmtool.contracts import Piece, Reading


class Html(FileSource):
    """The main text of web pages, one a file, in any encoding. Needs the extra `html`."""

    suffixes: ClassVar[tuple[str, ...]] = (".html", ".htm", ".xhtml")

    def extras(self) -> tuple[str, ...]:
        """What finds the main text of a page."""
        return ("html",)

    def files(self) -> list[tuple[str, Path]]:
        """The files that `path` means, sorted by name."""
        from bmtool.data.readers.main_text import check_installed

        check_installed()
        return super().files()

    def read(self, piece: Piece, reading: Reading) -> Iterator[pa.RecordBatch]:
        """The file as one row; one that can't be decoded, or is nested too deeply, is rejected."""
        from bmtool.data.readers.whole import MAX_HTML_BYTES, check_columns, parse_html, read_whole

        check_columns(reading, ("text", "title", "file"), "html")
        return read_whole(piece, reading, parse_html, max_bytes=MAX_HTML_BYTES)
