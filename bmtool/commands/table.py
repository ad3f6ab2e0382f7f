"""Read whole rows of a CSV, JSON-lines or Parquet file, or of standard input, in bounded memory."""

from __future__ import annotations

import csv
import json
import sys
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bmtool.data.readers.advice import NOT_UTF8, WRONG_FIELDS
from bmtool.data.readers.delimiters import delimiter_of
from bmtool.data.readers.json_line import object_on
from bmtool.data.readers.lines import MAX_LINE_BYTES, TOO_LONG, lines_of, read_lines
from bmtool.errors import ConfigError, DataError, MissingInputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

STDIN = "-"

#: File name endings and the formats they mean; each may be followed by `.gz`, except Parquet.
FORMATS = {
    ".csv": "csv",
    ".tsv": "csv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".txt": "lines",
    ".parquet": "parquet",
    ".pq": "parquet",
}

#: What may be wrong with a header.
OTHER = "If another character stands between its columns, predict is told so by --delimiter ';'"

#: Rows of a Parquet file that are decoded at once.
PARQUET_ROWS = 1024


@dataclass(frozen=True)
class Row:
    """One row as it was read; without `values` it could not be read, for `reason`."""

    line: int
    values: dict[str, Any] | None
    reason: str = ""


@dataclass
class Table:
    """Rows of one file. `columns` is known at once for CSV and Parquet, and grows with each row of JSON lines."""

    name: str
    format: str
    path: Path | None
    columns: dict[str, None] = field(default_factory=dict)
    delimiter: str = ","
    schema: Any = None
    """The Arrow schema of a Parquet file."""
    lines: Iterable[tuple[int, bytes | None]] = ()
    """Standard input, of which the first lines were read already."""

    def rows(self) -> Iterator[Row]:
        """All rows in order.

        Raises:
            DataError: the file is damaged in a way that leaves no more rows.
        """
        return {"csv": _csv_rows, "jsonl": _jsonl_rows, "lines": _text_rows, "parquet": _parquet_rows}[self.format](
            self
        )


def format_of(path: Path) -> str | None:
    """The format that a file's name means, None if it means none."""
    name = path.name.lower()
    inner = name.removesuffix(".gz")
    kind = FORMATS.get(Path(inner).suffix)
    return None if kind == "parquet" and inner != name else kind


def open_table(source: str, *, delimiter: str | None = None) -> Table:
    """A file by its name's ending, or `-` for standard input: JSON lines, or else one plain text a line.

    `delimiter` separates the fields of CSV; without it a tab does in `.tsv`, a comma else.

    Raises:
        ConfigError: the ending says nothing, or the delimiter is one for no CSV.
        MissingInputError: there is no such file.
    """
    if delimiter is not None and (source == STDIN or format_of(Path(source)) != "csv"):
        raise ConfigError(f"--delimiter: {source} is no CSV by its name, and nothing else has one")
    if source == STDIN:
        return _standard_input()
    path = Path(source)
    kind = format_of(path)
    if not path.is_file():
        raise MissingInputError(f"{source}: there is no such file")
    if kind is None:
        raise ConfigError(f"{source}: the ending says no format. Known: {', '.join(FORMATS)}, most also with .gz")
    table = Table(source, kind, path)
    if kind == "csv":
        table.delimiter = delimiter_of(path, delimiter)
        _read_header(table)
    if kind == "parquet":
        _read_schema(table)
    return table


def _standard_input() -> Table:
    """JSON lines if the first line that isn't blank starts with a brace, else plain lines."""
    lines = lines_of(sys.stdin.buffer)
    head = []
    for line, raw in lines:
        head.append((line, raw))
        if raw is None or raw.strip():
            break
    is_json = any(raw is not None and raw.lstrip()[:1] == b"{" for _, raw in head)
    return Table("standard input", "jsonl" if is_json else "lines", None, lines=chain(head, lines))


def _lines(table: Table) -> Iterator[tuple[int, bytes | None]]:
    if table.path is not None:
        return read_lines(table.path)
    return iter(table.lines)


# ---------------------------------------------------------------- JSON lines and plain lines


def _text_rows(table: Table) -> Iterator[Row]:
    table.columns["text"] = None
    for line, raw in _lines(table):
        if raw is None:
            yield Row(line, None, TOO_LONG)
            continue
        try:
            yield Row(line, {"text": raw.decode("utf-8").rstrip("\r\n")})
        except UnicodeDecodeError:
            yield Row(line, None, NOT_UTF8)


def _jsonl_rows(table: Table) -> Iterator[Row]:
    for line, raw in _lines(table):
        if raw is None or raw.strip():
            row = _parsed(line, raw)
            table.columns |= dict.fromkeys(row.values or ())
            yield row


def _parsed(line: int, raw: bytes | None) -> Row:
    found = object_on(raw, as_it_is=True)
    if isinstance(found, str):
        return Row(line, None, found)
    try:
        if raw is not None and b"\\u" in raw:
            json.dumps(found, ensure_ascii=False).encode("utf-8")  # half of a surrogate pair can't be written again
    except UnicodeEncodeError:
        return Row(line, None, NOT_UTF8)
    return Row(line, found)


# ---------------------------------------------------------------- CSV


def _csv_reader(table: Table) -> Any:
    csv.field_size_limit(MAX_LINE_BYTES)
    return csv.reader(_csv_lines(table), delimiter=table.delimiter, strict=True)


def _csv_lines(table: Table) -> Iterator[str]:
    for line, raw in _lines(table):
        if raw is None:
            raise DataError(f"{table.name}:{line}: {TOO_LONG}. Is this CSV?")
        yield raw.decode("utf-8", errors="surrogateescape")


def _read_header(table: Table) -> None:
    try:
        header = _names([name.strip() for name in next(filter(None, _csv_reader(table)), [])])
    except csv.Error as error:
        raise DataError(f"{table.name}:1: the header line can't be read: {error}. {OTHER}") from None
    twice = next((name for name in header if header.count(name) > 1), None)
    if twice is not None:
        raise DataError(f"{table.name}:1: the header names '{twice}' more than once. Rename all but one")
    table.columns = dict.fromkeys(header)


def _names(header: list[str]) -> list[str]:
    """The columns' names. Several without one, as Excel leaves them behind the last, are called by their places."""
    if header.count("") < 2:
        return header
    return [name or f"column_{place}" for place, name in enumerate(header, start=1)]


def _csv_rows(table: Table) -> Iterator[Row]:
    reader = _csv_reader(table)
    next(filter(None, reader), None)
    while True:
        line = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error:
            # A quote that isn't closed takes all lines behind it along: each of them is a row that isn't read.
            yield from (Row(place, None, "broken CSV") for place in range(line, reader.line_num + 1))
            continue
        if not cells:
            continue
        if len(cells) != len(table.columns):
            yield Row(line, None, WRONG_FIELDS)
        elif any("\udc80" <= char <= "\udcff" for cell in cells for char in cell if char > "\ud7ff"):
            yield Row(line, None, NOT_UTF8)
        else:
            yield Row(line, dict(zip(table.columns, cells, strict=True)))


# ---------------------------------------------------------------- Parquet


def _read_schema(table: Table) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table.schema = pq.read_schema(table.path)
    except pa.ArrowInvalid as error:
        raise DataError(f"{table.name}: this Parquet file can't be read: {error}") from None
    table.columns = dict.fromkeys(table.schema.names)


def _parquet_rows(table: Table) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(table.path) as file:
            for batch in file.iter_batches(PARQUET_ROWS, use_threads=False):
                for values in batch.to_pylist():
                    number += 1
                    yield Row(number, values)
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        raise DataError(f"{table.name}: row {number + 1} and the rest can't be read: {error}") from None
