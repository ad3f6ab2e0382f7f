"""Read CSV and TSV with a header line; quoted fields may hold line breaks."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING

from bmtool.data.lines import MAX_LINE_BYTES, TOO_LONG, read_lines
from bmtool.data.readers.buffer import RowBuffer, wanted
from bmtool.data.rows import LISTS, kind_of, missing_columns
from bmtool.data.unpack import inner_suffix
from bmtool.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pyarrow as pa

    from bmtool.contracts import Piece, Reading

#: A quoted field with more line breaks is one whose quote was never closed: reading goes on behind so many lines.
MAX_ROW_LINES = 10_000


class _BrokenError(Exception):
    """A row that can't be read to its end."""


class _Lines:
    """The lines of a file as text, for `csv.reader`; no row gets more than `MAX_ROW_LINES` of them."""

    def __init__(self, path: Path) -> None:
        self.lines = read_lines(path)
        self.last = 0
        """The number of the last line given out."""
        self.first = 1
        """The number of the row's first line."""
        self.size = 0
        """Bytes of the row so far."""

    def start(self) -> None:
        """What comes next is a new row."""
        self.first, self.size = self.last + 1, 0

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        if self.last - self.first + 1 == MAX_ROW_LINES:
            raise _BrokenError(f"a quote that isn't closed within {MAX_ROW_LINES:,} lines")
        self.last, raw = next(self.lines)
        if raw is None or self.size + len(raw) > MAX_LINE_BYTES:
            raise _BrokenError(TOO_LONG if raw is None else TOO_LONG.replace("line", "row"))
        self.size += len(raw)
        # Bytes that aren't UTF-8 become lone surrogates; that row alone is then rejected.
        return raw.decode("utf-8", errors="surrogateescape")


def read_csv(piece: Piece, reading: Reading, *, delimiter: str | None = None) -> Iterator[pa.RecordBatch]:
    """Batches from one file. An empty field is a missing value, an empty line none.

    Without `delimiter` it is a tab for `.tsv` and a comma else. Values stay the text they are: `05` is `05`. Every line
    of a row that can't be read is rejected, as with a wrong quote it may be many rows.

    Raises:
        DataError: a column is missing or named twice, or a list is asked for.
    """
    lists = [field.name for field in reading.schema if kind_of(field) in LISTS]
    if lists:
        raise DataError(f"column '{lists[0]}' holds lists, which CSV can't. Use jsonl or parquet")
    csv.field_size_limit(MAX_LINE_BYTES)
    lines = _Lines(piece.path)
    reader = csv.reader(
        lines, delimiter=delimiter or ("\t" if inner_suffix(piece.path) == ".tsv" else ","), strict=True
    )
    header = _header(piece.path, reader)
    if not header:
        return
    places = _places(piece.path, header, reading)
    buffer = RowBuffer(piece.file, reading)
    while True:
        lines.start()
        try:
            row = next(reader, None)
        except (csv.Error, _BrokenError) as error:
            for line in range(lines.first, lines.last + 1):
                buffer.refuse(line, f"broken CSV: {error} (lines {lines.first} to {lines.last})")
            continue
        if row is None:
            break
        if row and len(row) != len(header):
            buffer.refuse(lines.first, f"wrong number of fields: {len(row)}, the header has {len(header)}")
        elif row:
            yield from buffer.add(lines.first, [row[place] or None for place in places], lines.size)
    yield from buffer.flush()


def _header(path: Path, reader: Iterator[list[str]]) -> list[str]:
    """The names of the columns; none for an empty file."""
    try:
        header = [name.strip() for name in next(reader, [])]
    except (csv.Error, _BrokenError) as error:
        raise DataError(f"{path}:1: the header line can't be read: {error}. Is this CSV?") from None
    if any("\udc80" <= character <= "\udcff" for character in "".join(header)):
        raise DataError(f"{path}:1: the header line isn't UTF-8 text. Is this CSV, and in UTF-8?")
    return header


def _places(path: Path, header: list[str], reading: Reading) -> list[int]:
    """Where the wanted columns stand in a row."""
    theirs = wanted(reading)
    missing = set(theirs) - set(header)
    if missing:
        raise missing_columns(path, missing, header, reading.columns)
    twice = [name for name in theirs if header.count(name) > 1]
    if twice:
        raise DataError(f"{path}:1: the header names '{twice[0]}' more than once")
    return [header.index(name) for name in theirs]
