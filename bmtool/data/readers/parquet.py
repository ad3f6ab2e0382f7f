"""Read Parquet files batch by batch, only the columns asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bmtool.contracts import Rejected
from bmtool.data.rows import BadRowError, kind_of, missing_columns, scalar_text, sift
from bmtool.errors import DataError, MissingInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

#: Rows decoded at once. Parquet doesn't say how long its texts are before they are decoded.
ROWS_AT_ONCE = 1024

#: A column chunk that promises to unpack to more than 1 GiB and a thousand times its size is a bomb, not data.
BOMB_BYTES = 1024**3
BOMB_FACTOR = 1000


def read_parquet(
    files: Sequence[tuple[str, Path]],
    mapping: Mapping[str, str],
    schema: pa.Schema,
    reject: Callable[[Rejected], None],
) -> Iterator[pa.RecordBatch]:
    """Batches with `schema`'s columns from the given files, in order; a rejection's line is the row's number from 1.

    Raises:
        DataError: the file is damaged, lacks a column, has one of another type, or unpacks to an absurd size.
    """
    theirs = [mapping.get(name, name) for name in schema.names]
    for name, path in files:
        try:
            with pq.ParquetFile(path, memory_map=True) as file:
                _check(path, file, theirs, mapping)
                first = 1
                for batch in file.iter_batches(ROWS_AT_ONCE, columns=sorted(set(theirs)), use_threads=False):
                    yield from _convert(batch, schema, theirs, first=first, where=(name, path), reject=reject)
                    first += batch.num_rows
        except FileNotFoundError:
            raise MissingInputError(f"{path}: there is no such file") from None
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, UnicodeDecodeError, OSError) as error:
            if isinstance(error, OSError) and error.errno is not None:
                raise
            raise DataError(f"{path}: this Parquet file can't be read: {_first_line(error)}") from None


def _check(path: Path, file: pq.ParquetFile, theirs: list[str], mapping: Mapping[str, str]) -> None:
    names = file.schema_arrow.names
    missing = sorted(set(theirs) - set(names))
    if missing:
        raise missing_columns(path, missing, names, mapping)
    for group in range(file.metadata.num_row_groups):
        row_group = file.metadata.row_group(group)
        for index in range(row_group.num_columns):
            chunk = row_group.column(index)
            unpacked, packed = chunk.total_uncompressed_size, max(chunk.total_compressed_size, 1)
            if chunk.path_in_schema.split(".")[0] in theirs and unpacked > max(BOMB_BYTES, BOMB_FACTOR * packed):
                raise DataError(f"{path}: column '{chunk.path_in_schema}' unpacks from {packed} to {unpacked} bytes")


def _convert(
    batch: pa.RecordBatch,
    schema: pa.Schema,
    theirs: list[str],
    *,
    first: int,
    where: tuple[str, Path],
    reject: Callable[[Rejected], None],
) -> Iterator[pa.RecordBatch]:
    name, path = where
    lines = np.arange(first, first + batch.num_rows)
    bad = np.zeros(batch.num_rows, dtype=bool)
    columns = []
    for field, column in zip(schema, theirs, strict=True):
        values = batch.column(column)
        try:
            texts = _as_text(values, kind_of(field))
        except BadRowError as error:
            raise DataError(f"{path}: column '{column}' is {values.type}: {error}") from None
        bad |= _not_utf8(texts)
        columns.append(texts)
    for line in lines[bad]:
        reject(Rejected(name, int(line), "invalid UTF-8"))
    # Bad bytes are taken out before any kernel reads the column as text.
    good = pa.array(~bad)
    kept = [column.filter(good).cast(field.type) for field, column in zip(schema, columns, strict=True)]
    places = [(name, line) for line in lines[~bad].tolist()]
    sifted = sift(pa.record_batch(kept, schema=schema), places.__getitem__, reject, theirs=theirs)
    if sifted.num_rows:
        yield sifted


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
