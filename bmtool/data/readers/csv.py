"""Read CSV and TSV with a header line, plain or gzipped; quoted fields may hold line breaks."""

from __future__ import annotations

import csv
from collections import Counter
from typing import TYPE_CHECKING

from bmtool.data.files import MAX_LINE_BYTES, TOO_LONG, read_lines
from bmtool.data.rows import LISTS, RowBuffer, kind_of, missing_columns
from bmtool.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    import pyarrow as pa

    from bmtool.contracts import Rejected


def read_csv(
    files: Sequence[tuple[str, Path]],
    mapping: Mapping[str, str],
    schema: pa.Schema,
    reject: Callable[[Rejected], None],
    *,
    delimiter: str | None = None,
) -> Iterator[pa.RecordBatch]:
    """Batches with `schema`'s columns from the given files, in order. An empty field is a missing value.

    Without `delimiter` it is a tab for `.tsv` and a comma else. Values stay the text they are: `05` is `05`.

    Raises:
        DataError: a column is missing or named twice, a line is longer than 64 MiB, or a list is asked for.
    """
    lists = [field.name for field in schema if kind_of(field) in LISTS]
    if lists:
        raise DataError(f"column '{lists[0]}' holds lists, which CSV can't. Use jsonl or parquet")
    csv.field_size_limit(MAX_LINE_BYTES)
    for name, path in files:
        buffer = RowBuffer(name, schema, mapping, reject)
        tab = path.name.removesuffix(".gz").endswith(".tsv")
        yield from _read(path, buffer, mapping, delimiter or ("\t" if tab else ","))


def _read(path: Path, buffer: RowBuffer, mapping: Mapping[str, str], delimiter: str) -> Iterator[pa.RecordBatch]:
    reader = csv.reader(_text_lines(path), delimiter=delimiter, strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
    except csv.Error as error:
        raise DataError(f"{path}:1: the header line can't be read: {error}") from None
    if not header:
        return
    if any(character in "".join(header) for character in map(chr, range(0xDC80, 0xDD00))):
        raise DataError(f"{path}:1: the header line isn't UTF-8 text. Is this CSV, and in UTF-8?")
    missing = sorted(set(buffer.theirs) - set(header))
    if missing:
        raise missing_columns(path, missing, header, mapping)
    twice = [name for name in buffer.theirs if Counter(header)[name] > 1]
    if twice:
        raise DataError(f"{path}:1: the header names '{twice[0]}' more than once")
    places = [header.index(name) for name in buffer.theirs]
    while True:
        line = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            break
        except csv.Error as error:
            buffer.refuse(line, f"broken CSV: {error} (lines {line} to {reader.line_num})")
            continue
        if not row:
            continue
        if len(row) != len(header):
            buffer.refuse(line, f"wrong number of fields: {len(row)}, the header has {len(header)}")
        elif buffer.add(line, [row[place] or None for place in places]):
            yield from buffer.flush()
    yield from buffer.flush()


def _text_lines(path: Path) -> Iterator[str]:
    for number, raw in read_lines(path):
        if raw is None:
            raise DataError(f"{path}:{number}: {TOO_LONG}. Is this CSV?")
        # Bytes that aren't UTF-8 become lone surrogates; the buffer then rejects that row alone.
        yield raw.decode("utf-8", errors="surrogateescape")
