"""Web archives, a row a page: text (the main one), title, url, date."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from bmtool.sources._files import FileSource

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pyarrow as pa

    from bmtool.contracts import Piece, Reading


class Warc(FileSource):
    """The main text of the pages in WARC files, and the texts of WET files. Needs the extra `html`."""

    suffixes: ClassVar[tuple[str, ...]] = (".warc", ".wet")

    def extras(self) -> tuple[str, ...]:
        """What finds the main text of a page."""
        return ("html",)

    def files(self) -> list[tuple[str, Path]]:
        """The files that `path` means, sorted by name."""
        from bmtool.data.readers.main_text import check_installed

        check_installed()
        return super().files()

    def read(self, piece: Piece, reading: Reading) -> Iterator[pa.RecordBatch]:
        """Batches of pages; one that can't be decoded, or is nested too deeply, is rejected."""
        from bmtool.data.readers.warc import read_warc

        return read_warc(piece, reading)
