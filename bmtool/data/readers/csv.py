"""Read CSV and TSV with a header line; quoted fields may hold line breaks."""

from __future__ import annotations

import csv
import io
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import xxhash

from bmtool.contracts import Piece, Rejected
from bmtool.contracts.kinds import LISTS, NESTED
from bmtool.data.readers import csv_kernel
from bmtool.data.readers.advice import CONVERT
from bmtool.data.readers.buffer import wanted
from bmtool.data.readers.csv_fields import parser
from bmtool.data.readers.delimiters import other_delimiter
from bmtool.data.readers.lines import BYTE_ORDER_MARK, MAX_LINE_BYTES, PIECE_BYTES, TOO_LONG, lines_of
from bmtool.data.readers.typed import to_our_columns
from bmtool.data.readers.unpack import open_bytes
from bmtool.data.rows import MAX_BATCH_BYTES, MAX_BATCH_ROWS, kind_of, missing_columns
from bmtool.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

    from numpy.typing import NDArray

    from bmtool.contracts import Reading

#: A quoted field with more line breaks is one whose quote was never closed: reading goes on behind so many lines.
MAX_ROW_LINES = 10_000


def cut_csv(name: str, path: Path, delimiter: int) -> Iterator[Piece]:
    """Pieces of whole rows of one file, unpacked, each with the header before them.

    A piece ends with the last row that ends within `PIECE_BYTES` of its start. So the cuts follow from the bytes before
    them. Where no row ends within `MAX_LINE_BYTES`, it is cut at a line's end, and its rows will be rejected.

    Raises:
        MissingInputError, DataError: as `open_bytes`; also where the header can't be read.
    """
    with open_bytes(path) as handle:
        first, header = 1, b""
        rest = handle.read(len(BYTE_ORDER_MARK)).removeprefix(BYTE_ORDER_MARK)
        while data := rest + handle.read(max(PIECE_BYTES - len(rest), 0)):
            end = len(data)
            if end >= PIECE_BYTES:
                end = _last_end(data[:PIECE_BYTES], delimiter)
            if not end:
                data += handle.read(MAX_LINE_BYTES + 1 - len(data))
                end = _last_end(data, delimiter) or data.rfind(b"\n") + 1
            more = 0
            if not end:
                end, more = len(data), _skip_line(handle)
            whole = header + data[:end]
            yield Piece(name, path, xxhash.xxh3_128_hexdigest(whole), len(whole), first, whole)
            if not header:
                names, size, _ = _header(path, data[:end], delimiter)
                header = data[:size] if names else b""
            first += data.count(b"\n", 0, end) + more
            rest = data[end:]


def _last_end(data: bytes, delimiter: int) -> int:
    return int(csv_kernel.last_row_end(np.frombuffer(data, dtype=np.uint8), delimiter))


def _skip_line(handle: BinaryIO) -> int:
    """Read to the end of the line; how many line breaks were read."""
    while line := handle.readline(PIECE_BYTES):
        if line.endswith(b"\n"):
            return 1
    return 0


def read_csv(
    piece: Piece, reading: Reading, delimiter: int, *, decimal: str = ".", list_separator: str | None = None
) -> Iterator[pa.RecordBatch]:
    """Batches from a piece of a file. An empty field is a missing value, an empty line none.

    Values stay the text they are: `05` is `05`. `decimal` stands in numbers, `list_separator` between the members of
    lists. Every line of a row that can't be read is rejected, as with a wrong quote it may be many rows.

    Raises:
        DataError: a column is missing or named twice, or a list is asked for and nothing separates its members.
    """
    _check_lists(piece.path, reading, list_separator)
    data = piece.data or b""
    header, place, num_lines = _header(piece.path, data, delimiter)
    if not header:
        return
    line = piece.first if piece.first > 1 else 1 + num_lines
    rows, parse = _Rows(piece, header, reading, delimiter), parser(decimal, list_separator)
    while place < len(data):
        batch, lines, place, num_lines = rows.find(place, line)
        line += num_lines
        yield from to_our_columns(batch, lines, piece, reading, parse=parse)


def _check_lists(path: Path, reading: Reading, list_separator: str | None) -> None:
    """Refuse lists that nothing is said to separate, and what isn't a list of texts."""
    nested = {field.name: kind_of(field) for field in reading.schema if kind_of(field) in NESTED}
    for name, kind in nested.items():
        if kind not in LISTS:
            raise DataError(f"column '{name}' holds lists, which CSV can't. Use jsonl or parquet")
        if list_separator is None:
            raise DataError(
                f"column '{name}' holds lists. Say what stands between their members, as in sources: "
                f'{{type: csv, path: {path}, list_separator: ";"}}, or use jsonl or parquet'
            )


def _header(path: Path, data: bytes, delimiter: int) -> tuple[list[str], int, int]:
    """(names of the columns, bytes, lines) to the end of the first row that isn't empty; no names without one."""
    sizes: list[int] = []

    def lines() -> Iterator[str]:
        for _, raw in lines_of(io.BytesIO(data)):
            if raw is None:
                raise csv.Error(TOO_LONG)
            sizes.append(len(raw))
            # Bytes that aren't UTF-8 become lone surrogates.
            yield raw.decode("utf-8", errors="surrogateescape")

    csv.field_size_limit(MAX_LINE_BYTES)
    try:
        rows = csv.reader(lines(), delimiter=chr(delimiter), strict=True)
        header = [name.strip() for name in next(filter(None, rows), [])]
    except csv.Error as error:
        raise DataError(
            f"{path}:1: the header line can't be read: {error}. Is this CSV? If another character stands between its "
            f"columns, say so, as in sources: {{type: csv, path: {path}, delimiter: ';'}}"
        ) from None
    if any("\udc80" <= character <= "\udcff" for character in "".join(header)):
        raise DataError(f"{path}:1: the header line isn't UTF-8 text. Is this CSV? {CONVERT}")
    return header, sum(sizes), len(sizes)


class _Rows:
    """The rows of a piece, found some thousand at a time in arrays that are used again."""

    def __init__(self, piece: Piece, header: list[str], reading: Reading, delimiter: int) -> None:
        self.piece, self.header, self.reading, self.delimiter = piece, header, reading, delimiter
        self.names = _checked(piece.path, header, reading)
        self.data = np.frombuffer(piece.data or b"", dtype=np.uint8)
        self.slots = np.full(len(header), -1, dtype=np.int64)
        self.slots[[header.index(name) for name in self.names]] = np.arange(len(self.names))
        self.starts = np.zeros((MAX_BATCH_ROWS, len(self.names)), dtype=np.int64)
        self.ends = np.zeros_like(self.starts)
        self.rows = np.zeros((MAX_BATCH_ROWS, 4), dtype=np.int64)

    def find(self, place: int, line: int) -> tuple[pa.RecordBatch, NDArray[np.int64], int, int]:
        """(good rows, their lines, where the next row starts, lines read) from `place` on, which is on `line`."""
        limits = np.array([MAX_ROW_LINES, MAX_LINE_BYTES, MAX_BATCH_BYTES], dtype=np.int64)
        count, place, num_lines = csv_kernel.find_rows(
            self.data, place, self.delimiter, self.slots, limits, self.starts, self.ends, self.rows
        )
        rows = self.rows[:count]
        good = (rows[:, 0] == csv_kernel.GOOD) & (rows[:, 3] == len(self.header))
        for wrong, first, lines, fields in rows[~good].tolist():
            self._reject(wrong, line + first, lines, fields)
        columns = [self._column(np.flatnonzero(good), slot) for slot in range(len(self.names))]
        batch = pa.record_batch(columns, names=self.names)
        return batch, line + rows[good, 1], place, num_lines

    def _reject(self, wrong: int, first: int, lines: int, fields: int) -> None:
        last = first + lines - 1
        reason = {
            csv_kernel.NOT_DELIMITED: f"'{chr(self.delimiter)}' expected after '\"'",
            csv_kernel.RETURN: "a carriage return within a line",
            csv_kernel.UNCLOSED: "a quote that isn't closed",
            csv_kernel.TOO_MANY_LINES: f"a quote that isn't closed within {MAX_ROW_LINES:,} lines",
            csv_kernel.TOO_LONG: TOO_LONG if lines == 1 else TOO_LONG.replace("line", "row"),
        }.get(wrong)
        if reason is None:
            text = f"wrong number of fields: {fields}, the header has {len(self.header)}"
            self.reading.reject(Rejected(self.piece.file, first, text))
            return
        for line in range(first, last + 1):
            self.reading.reject(Rejected(self.piece.file, line, f"broken CSV: {reason} (lines {first} to {last})"))

    def _column(self, rows: NDArray[np.int64], slot: int) -> pa.Array:
        """The fields of some rows as text that may not be UTF-8; null where a field is empty."""
        starts, ends = self.starts[rows, slot], self.ends[rows, slot]
        offsets = np.zeros(len(rows) + 1, dtype=np.int32)
        out = np.empty(int((ends - starts).sum()), dtype=np.uint8)
        csv_kernel.copy_fields(self.data, starts, ends, offsets, out)
        is_given = np.packbits(np.diff(offsets) > 0, bitorder="little")
        buffers = [pa.py_buffer(is_given), pa.py_buffer(offsets), pa.py_buffer(out)]
        return pa.Array.from_buffers(pa.string(), len(rows), buffers)


def _checked(path: Path, header: list[str], reading: Reading) -> list[str]:
    """The wanted columns, all of which the header has, once."""
    theirs = wanted(reading)
    missing = set(theirs) - set(header)
    if missing:
        _check_delimiter(path, header)
        raise missing_columns(path, missing, header, reading.columns)
    twice = [name for name in theirs if header.count(name) > 1]
    if twice:
        raise DataError(f"{path}:1: the header names '{twice[0]}' more than once")
    return theirs


def _check_delimiter(path: Path, header: list[str]) -> None:
    """Refuse one column whose name holds what else stands between columns: of those it says which."""
    found = other_delimiter(header)
    if found is not None:
        shown = "\\t" if found == "\t" else found
        raise DataError(
            f"{path}:1: the header has one column only, and '{shown}' in it. If that stands between columns, "
            f'say so, as in sources: {{type: csv, path: {path}, delimiter: "{shown}"}}'
        )
