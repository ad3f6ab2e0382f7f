"""Read plain text with a row a line or a paragraph."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bmtool.data.lines import MAX_LINE_BYTES, TOO_LONG
from bmtool.data.readers.buffer import NOT_UTF8, RowBuffer, line_groups

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from bmtool.contracts import Piece, Reading

COLUMNS = ("text", "file")


def read_text(piece: Piece, reading: Reading, *, by_paragraph: bool = False) -> Iterator[pa.RecordBatch]:
    """Batches with a row for each line, or for each run of lines that aren't blank. Blank lines are none.

    A row's place is its first line.
    """
    buffer = RowBuffer(piece.file, reading)
    for line, data in _paragraphs(piece) if by_paragraph else _lines(piece):
        if len(data) > MAX_LINE_BYTES:
            buffer.refuse(line, TOO_LONG.replace("line", "paragraph") if by_paragraph else TOO_LONG)
            continue
        try:
            row = {"text": data.decode("utf-8"), "file": piece.file}
        except UnicodeDecodeError:
            buffer.refuse(line, NOT_UTF8)
            continue
        yield from buffer.add(line, [row[name] for name in buffer.theirs], len(data))
    yield from buffer.flush()


def _lines(piece: Piece) -> Iterator[tuple[int, bytes]]:
    for skipped, lines in line_groups(piece.data or b""):
        for line, data in enumerate(lines, piece.first + skipped):
            if not data.isspace():
                yield line, data.rstrip(b"\r\n")


def _paragraphs(piece: Piece) -> Iterator[tuple[int, bytes]]:
    first, gathered = piece.first, list[bytes]()
    for skipped, lines in line_groups(piece.data or b""):
        for line, data in enumerate(lines, piece.first + skipped):
            if not data.isspace():
                first = first if gathered else line
                gathered.append(data)
            elif gathered:
                yield first, b"".join(gathered).rstrip(b"\r\n")
                gathered = []
    if gathered:
        yield first, b"".join(gathered).rstrip(b"\r\n")
