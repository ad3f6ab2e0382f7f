"""Read plain text with a row a line or a paragraph."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bmtool.contracts import Rejected
from bmtool.data.readers.advice import NOT_UTF8
from bmtool.data.readers.buffer import line_groups, to_batch, wanted
from bmtool.data.readers.lines import MAX_LINE_BYTES, TOO_LONG, bytes_of
from bmtool.data.rows import MAX_BATCH_BYTES, MAX_BATCH_ROWS

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from bmtool.contracts import Piece, Reading

COLUMNS = ("text", "file")


def read_lines(piece: Piece, reading: Reading) -> Iterator[pa.RecordBatch]:
    """Batches with a row for each line that isn't blank."""
    for skipped, lines in line_groups(bytes_of(piece)):
        first = piece.first + skipped
        rows = [(place, line) for place, line in enumerate(lines, first) if not line.isspace()]
        yield from _to_batch(rows, piece.file, reading, "line")


def read_paragraphs(piece: Piece, reading: Reading) -> Iterator[pa.RecordBatch]:
    """Batches with a row for each run of lines that aren't blank; its place is its first line."""
    rows, size = list[tuple[int, bytes]](), 0
    for place, paragraph in _paragraphs(piece):
        if rows and (len(rows) == MAX_BATCH_ROWS or size + len(paragraph) > MAX_BATCH_BYTES):
            yield from _to_batch(rows, piece.file, reading, "paragraph")
            rows, size = [], 0
        rows.append((place, paragraph))
        size += len(paragraph)
    yield from _to_batch(rows, piece.file, reading, "paragraph")


def _to_batch(rows: list[tuple[int, bytes]], file: str, reading: Reading, what: str) -> list[pa.RecordBatch]:
    places, texts = [], []
    for place, data in rows:
        if len(data) > MAX_LINE_BYTES:
            reading.reject(Rejected(file, place, TOO_LONG.replace("line", what)))
            continue
        try:
            texts.append(data.decode("utf-8").rstrip("\r\n"))
            places.append(place)
        except UnicodeDecodeError:
            reading.reject(Rejected(file, place, NOT_UTF8))
    given = {"text": texts, "file": [file] * len(texts)}
    return to_batch(reading, file, places, [given[name] for name in wanted(reading)]) if texts else []


def _paragraphs(piece: Piece) -> Iterator[tuple[int, bytes]]:
    first, gathered = piece.first, list[bytes]()
    for skipped, lines in line_groups(bytes_of(piece)):
        for place, line in enumerate(lines, piece.first + skipped):
            if not line.isspace():
                first = first if gathered else place
                gathered.append(line)
            elif gathered:
                yield first, b"".join(gathered)
                gathered = []
    if gathered:
        yield first, b"".join(gathered)
