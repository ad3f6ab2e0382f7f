"""Read Parquet files batch by batch, only the columns asked for."""

from __future__ import annotations

from contextlib import contextmanager
from functools import reduce
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bmtool.contracts import Piece, Rejected
from bmtool.data.readers.buffer import NOT_UTF8, batch_schema, bounded, names_of, sift, wanted
from bmtool.data.rows import LISTS, BadRowError, kind_of, missing_columns, scalar_text
from bmtool.errors import DataError, MissingInputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bmtool.contracts import Reading

#: Row groups are read together up to this size.
PIECE_BYTES = 64 * 1024 * 1024

#: Rows decoded at once. Parquet doesn't say how long its texts are before they are decoded.
ROWS_AT_ONCE = 1024

#: A column chunk that promises to unpack to more than 1 GiB and a thousand times its size is a bomb, not data.
BOMB_BYTES = 1024**3
BOMB_FACTOR = 1000


def cut_parquet(name: str, path: Path, sha256: str) -> Iterator[Piece]:
    """Pieces of whole row groups, each of about `PIECE_BYTES` unpacked, or of one row group that is larger.

    Raises:
        MissingInputError, DataError: as `read_parquet`.
    """
    with _opened(path) as file:
        metadata = file.metadata
    groups = [metadata.row_group(group) for group in range(metadata.num_row_groups)]
    start, first, size, rows = 0, 1, 0, 0
    for index, group in enumerate(groups):
        size += group.total_byte_size
        rows += group.num_rows
        is_last = index == len(groups) - 1
        if is_last or size + groups[index + 1].total_byte_size > PIECE_BYTES:
            part = (start, index + 1)
            yield Piece(name, path, f"{sha256}-{start}-{index + 1}", size, first, part=part)
            start, first, size, rows = index + 1, first + rows, 0, 0
    if not groups:
        yield Piece(name, path, sha256, 0, part=(0, 0))  # its columns are looked at all the same


def read_parquet(piece: Piece, reading: Reading) -> Iterator[pa.RecordBatch]:
    """Batches from some row groups of a file; a row's place is its number from 1.

    Raises:
        MissingInputError: the file isn't there.
        DataError: it is damaged, lacks a column, has one of another type, or unpacks to an absurd size.
    """
    theirs = wanted(reading)
    with _opened(piece.path) as file:
        _check(piece, file, theirs, reading)
        first = piece.first
        groups = list(range(*piece.part)) if piece.part else None
        if groups == []:
            return
        for batch in file.iter_batches(ROWS_AT_ONCE, row_groups=groups, columns=theirs, use_threads=False):
            yield from _convert(batch, first, piece, reading)
            first += batch.num_rows


@contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    try:
        with pq.ParquetFile(path, memory_map=True) as file:
            yield file
    except FileNotFoundError:
        raise MissingInputError(f"{path}: there is no such file") from None
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, UnicodeDecodeError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise DataError(f"{path}: this Parquet file can't be read: {_first_line(error)}") from None


def _check(piece: Piece, file: pq.ParquetFile, theirs: list[str], reading: Reading) -> None:
    path, names = piece.path, file.schema_arrow.names
    missing = set(theirs) - set(names)
    if missing:
        raise missing_columns(path, missing, names, reading.columns)
    twice = [name for name in theirs if names.count(name) > 1]
    if twice:
        raise DataError(f"{path}: there is more than one column '{twice[0]}'")
    for group in range(file.metadata.num_row_groups):
        row_group = file.metadata.row_group(group)
        for index in range(row_group.num_columns):
            chunk = row_group.column(index)
            unpacked, packed = chunk.total_uncompressed_size, max(chunk.total_compressed_size, 1)
            if chunk.path_in_schema.split(".")[0] in theirs and unpacked > max(BOMB_BYTES, BOMB_FACTOR * packed):
                raise DataError(f"{path}: column '{chunk.path_in_schema}' unpacks from {packed} to {unpacked} bytes")


def _convert(batch: pa.RecordBatch, first: int, piece: Piece, reading: Reading) -> Iterator[pa.RecordBatch]:
    lines = np.arange(first, first + batch.num_rows)
    bad = np.zeros(batch.num_rows, dtype=bool)
    columns = []
    for field in reading.schema:
        names = names_of(reading, field.name)
        if len(names) > 1 and kind_of(field) in LISTS:
            raise DataError(f"column '{field.name}' holds lists, which can't be joined")
        parts = []
        for name in names:
            try:
                part = _as_text(batch.column(name), kind_of(field))
            except BadRowError as error:
                raise DataError(f"{piece.path}: column '{name}' is {batch.column(name).type}: {error}") from None
            bad |= _not_utf8(part)
            parts.append(part)
        columns.append(parts)
    for line in lines[bad].tolist():
        reading.reject(Rejected(piece.file, line, NOT_UTF8))
    # Bad bytes are taken out before any kernel reads the column as text.
    good = pa.array(~bad)
    arrays = [
        _joined([part.filter(good).cast(field.type) for part in parts])
        for field, parts in zip(reading.schema, columns, strict=True)
    ]
    arrays.append(pa.array(lines[~bad]))
    for part in bounded(pa.record_batch(arrays, schema=batch_schema(reading))):
        yield from sift(part, piece.file, reading)


def _joined(parts: list[pa.Array]) -> pa.Array:
    """The parts that there are, joined by line breaks; null where there is none."""
    if len(parts) == 1:
        return parts[0]
    filled = [pc.if_else(pc.equal(part, ""), None, part) for part in parts]
    joined = pc.binary_join_element_wise(*filled, "\n", null_handling="skip")
    is_given = reduce(pc.or_, (part.is_valid() for part in parts))
    return pc.if_else(is_given, joined, None)


def _as_text(values: pa.Array, kind: str) -> pa.Array:
    """`values` as string, or list of string."""
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if kind in {"words", "tags"}:
        if not (pa.types.is_list(values.type) or pa.types.is_large_list(values.type)):
            raise BadRowError("expected a list")
        values = values.cast(pa.list_(values.type.value_type))
        members = _as_text(pc.list_flatten(values), "text" if kind == "words" else "label")
        lengths = pc.fill_null(pc.list_value_length(values), 0).to_numpy(zero_copy_only=False)
        offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
        return pa.ListArray.from_arrays(offsets, members, mask=values.is_null())
    kind_type = values.type
    if pa.types.is_string(kind_type):
        return values
    if pa.types.is_large_string(kind_type) or pa.types.is_string_view(kind_type) or pa.types.is_null(kind_type):
        return values.cast(pa.string())
    if kind == "text":
        raise BadRowError("expected text")
    if pa.types.is_integer(kind_type) or pa.types.is_boolean(kind_type) or pa.types.is_temporal(kind_type):
        return values.cast(pa.string())
    if pa.types.is_floating(kind_type):
        # pandas writes a missing number as NaN
        plain = [None if value is None or value != value else scalar_text(value) for value in values.to_pylist()]
        return pa.array(plain, type=pa.string())
    raise BadRowError("expected text or numbers")


def _not_utf8(texts: pa.Array) -> np.ndarray:
    """(rows,) True where a row holds bytes that aren't UTF-8."""
    bad = np.zeros(len(texts), dtype=bool)
    try:
        texts.validate(full=True)
    except pa.ArrowInvalid:
        for row in range(len(texts)):
            try:
                texts.slice(row, 1).validate(full=True)
            except pa.ArrowInvalid:
                bad[row] = True
    return bad


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
