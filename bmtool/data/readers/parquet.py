"""Read Parquet files batch by batch, only the columns asked for."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from bmtool.contracts import Piece
from bmtool.data.readers.buffer import gathered, wanted
from bmtool.data.readers.nested import columns_of, names_of
from bmtool.data.readers.parquet_limits import limits_of, too_much
from bmtool.data.readers.typed import named, naming, to_our_columns
from bmtool.data.rows import missing_columns
from bmtool.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from bmtool.contracts import Reading

#: Row groups are read together up to this size.
PIECE_BYTES = 64 * 1024 * 1024

#: Columns are read so much at a time, not fetched whole: 127 MiB instead of 333 for a row group of 215 MB. Nor is the
#: file mapped: the system kills who reads a mapped file that gets shorter.
_BUFFER_BYTES = 256 * 1024


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


def read_parquet(
    piece: Piece, reading: Reading, labels_of: Callable[[pa.Schema], Mapping[str, pa.Array]] | None = None
) -> Iterator[pa.RecordBatch]:
    """Batches from some row groups of a file; a row's place is its number from 1.

    `labels_of` reads the names behind the numbers of some columns out of the file's schema.

    Raises:
        MissingInputError: the file isn't there.
        DataError: it is damaged, lacks a column, has one of another type, or unpacks to an absurd size.
    """
    return gathered(_batches(piece, reading, labels_of))


def _batches(
    piece: Piece, reading: Reading, labels_of: Callable[[pa.Schema], Mapping[str, pa.Array]] | None
) -> Iterator[pa.RecordBatch]:
    path, theirs = piece.path, wanted(reading)
    with _opened(path) as file:
        with naming(path, "Parquet"):
            schema = file.schema_arrow
            _check_columns(path, schema, reading)
        labels = labels_of(schema) if labels_of else None
        groups = list(range(*piece.part)) if piece.part else list(range(file.metadata.num_row_groups))
        if not groups:
            return
        allowed, rows = limits_of(path, set(groups), {*theirs, *(name.partition(".")[0] for name in theirs)})
        first, unpacked = piece.first, 0
        batches = file.iter_batches(rows, row_groups=groups, columns=theirs, use_threads=False)
        for batch in named(path, "Parquet", batches):
            lines = np.arange(first, first + batch.num_rows)
            for ours in to_our_columns(columns_of(batch, theirs), lines, piece, reading, labels):
                unpacked += ours.nbytes
                if unpacked > allowed:
                    raise too_much(path, "it", path.stat().st_size, f"more than {allowed:,}")
                yield ours
            first += batch.num_rows
        noted = sum(file.metadata.row_group(group).num_rows for group in groups)
        seen = first - piece.first
        if seen != noted:  # pyarrow takes a column that is cut off for its end
            raise DataError(f"{path}: this Parquet file is cut off or damaged: {seen:,} of {noted:,} rows are there")


@contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    with naming(path, "Parquet"):
        file = pq.ParquetFile(path, buffer_size=_BUFFER_BYTES, pre_buffer=False)
    with file:
        yield file


def _check_columns(path: Path, schema: pa.Schema, reading: Reading) -> None:
    theirs, names = wanted(reading), list(names_of(schema))
    missing = set(theirs) - set(names)
    if missing:
        raise missing_columns(path, missing, names, reading.columns)
    twice = [name for name in theirs if names.count(name) > 1]
    if twice:
        raise DataError(f"{path}: there is more than one column '{twice[0]}'")
