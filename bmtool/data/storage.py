"""Write a split as Arrow shards that `datasets.load_from_disk` opens, byte for byte the same whenever the rows are."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import xxhash

from bmtool.artifacts.faults import fault
from bmtool.artifacts.files import fsync_folder, mapped, memory_map, write_json
from bmtool.data.messages import MESSAGES
from bmtool.data.rows import MAX_BATCH_BYTES, MAX_BATCH_ROWS, text_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import BinaryIO

    from numpy.typing import NDArray

#: A shard is closed before it would grow past this.
MAX_SHARD_BYTES = 512 * 1024 * 1024


@dataclass
class StreamFile:
    """An Arrow IPC stream in a file."""

    path: Path
    schema: pa.Schema
    handle: BinaryIO = field(init=False)
    writer: Any = field(init=False)

    def __post_init__(self) -> None:
        self.handle = self.path.open("wb")
        self.writer = pa.ipc.new_stream(self.handle, self.schema)

    def write(self, batch: pa.RecordBatch) -> None:
        """Append one batch."""
        fault("write")
        self.writer.write_batch(batch)

    def close(self) -> None:
        """End the stream. Nobody waits here for its bytes to be on the disk: who commits an artifact does."""
        self.writer.close()
        self.handle.close()

    def abandon(self) -> None:
        """Let go of the file as it is; nothing happens if it was closed."""
        self.handle.close()


class SplitWriter:
    """Writes one split: cuts rows into batches and shards by their own sizes, however they arrive.

    A batch holds at most `MAX_BATCH_ROWS` rows and `MAX_BATCH_BYTES` of text (a longer row has one of its own), a shard
    at most `MAX_SHARD_BYTES`.
    """

    def __init__(self, folder: Path, schema: pa.Schema) -> None:
        self.folder = folder
        self.schema = schema
        self.text_columns = [one.name for one in schema if _holds_text(one)]
        self.pieces: list[pa.RecordBatch] = []
        self.rows = 0
        self.bytes = 0
        self.shards: list[Path] = []
        self.shard: StreamFile | None = None
        self.num_rows = 0
        folder.mkdir(parents=True, exist_ok=True)

    def write(self, batch: pa.RecordBatch) -> None:
        """Append rows."""
        sizes = text_bytes(batch, self.text_columns)
        start = 0
        while start < batch.num_rows:
            fit = self._fitting(sizes[start : start + MAX_BATCH_ROWS - self.rows])
            if fit == 0:
                self._flush()
                continue
            self.pieces.append(batch.slice(start, fit))
            self.rows += fit
            self.bytes += int(sizes[start : start + fit].sum())
            start += fit
            if self.rows == MAX_BATCH_ROWS:
                self._flush()
        self.num_rows += batch.num_rows

    def _fitting(self, sizes: NDArray[np.int64]) -> int:
        """How many of the next rows still fit into the current batch."""
        fit = int(np.searchsorted(np.cumsum(sizes), MAX_BATCH_BYTES - self.bytes, side="right"))
        return 1 if fit == 0 and self.rows == 0 else fit

    def _flush(self) -> None:
        if not self.pieces:
            return
        batch = whole_batch(self.pieces, self.schema)
        self.pieces, self.rows, self.bytes = [], 0, 0
        if self.shard is not None and self.shard.handle.tell() + batch.nbytes > MAX_SHARD_BYTES:
            self.shard.close()
            self.shard = None
        if self.shard is None:
            self._open()
        assert self.shard is not None  # noqa: S101  (for the type checker)
        self.shard.write(batch)

    def _open(self) -> None:
        path = self.folder / f"data-{len(self.shards):05d}.arrow"
        self.shards.append(path)
        self.shard = StreamFile(path, self.schema)

    def cut(self) -> None:
        """End the shard: the next rows begin another one."""
        self._flush()
        if self.shard is not None:
            self.shard.close()
            self.shard = None

    def next_places(self, count: int) -> list[Path]:
        """Where the caller puts finished files that come next."""
        self.cut()
        places = [self.folder / f"data-{len(self.shards) + index:05d}.arrow" for index in range(count)]
        self.shards += places
        return places

    def close(self) -> list[str]:
        """Write what is left; the names of the shards. A split without rows has one empty shard."""
        self._flush()
        if not self.shards:
            self._open()
        self.cut()
        names = []
        for index, path in enumerate(self.shards):
            name = f"data-{index:05d}-of-{len(self.shards):05d}.arrow"
            path.rename(self.folder / name)
            names.append(name)
        fsync_folder(self.folder)
        return names

    def abandon(self) -> None:
        """Let go of the files as they are; nothing happens after `close`."""
        if self.shard is not None:
            self.shard.abandon()


def whole_batch(pieces: Sequence[pa.RecordBatch], schema: pa.Schema) -> pa.RecordBatch:
    """The rows of all pieces as one batch that is written as the same bytes however they were cut into pieces.

    The values are copied into fresh buffers, since the writer pads a slice with what lies behind it. Bits behind the
    last null may still be left from before, so a column with nulls is copied value by value, which is slower.
    """
    rows = sum(piece.num_rows for piece in pieces)
    columns = []
    for index, one in enumerate(schema):
        empty = pa.array([], one.type)
        joined = pa.concat_arrays([*(piece.column(index) for piece in pieces), empty])
        columns.append(joined.take(pa.array(np.arange(rows))) if joined.null_count else joined)
    return pa.record_batch(columns, schema=schema)


def _holds_text(column: pa.Field) -> bool:
    inner = column.type.value_type if pa.types.is_list(column.type) else column.type
    return column.name != "id" and bool(pa.types.is_string(inner) or column.type == MESSAGES)


def features(schema: pa.Schema, labels: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    """The `features` of dataset_info.json; `labels` are the names of ClassLabel columns (or of their list members)."""

    def feature(name: str, kind: pa.DataType) -> dict[str, Any]:
        if pa.types.is_list(kind):
            return {"feature": feature(name, kind.value_type), "_type": "List"}
        if pa.types.is_struct(kind):
            return {member.name: feature(member.name, member.type) for member in kind}
        if name in labels:
            return {"names": list(labels[name]), "_type": "ClassLabel"}
        return {"dtype": "float64" if pa.types.is_float64(kind) else str(kind), "_type": "Value"}

    return {column.name: feature(column.name, column.type) for column in schema}


def write_split_info(
    folder: Path, shards: list[str], num_rows: int, *, described: Mapping[str, Any], fingerprint: str
) -> None:
    """Write `dataset_info.json` and `state.json`; `described` is what `features` gave."""
    split = folder.name
    num_bytes = sum((folder / name).stat().st_size for name in shards)
    write_json(
        folder / "dataset_info.json",
        {
            "features": described,
            "splits": {split: {"name": split, "num_bytes": num_bytes, "num_examples": num_rows}},
        },
    )
    write_json(
        folder / "state.json",
        {
            "_data_files": [{"filename": name} for name in shards],
            "_fingerprint": xxhash.xxh3_64_hexdigest(f"{fingerprint}/{split}".encode()),
            "_format_columns": None,
            "_format_kwargs": {},
            "_format_type": None,
            "_output_all_columns": False,
            "_split": split,
        },
    )


def read_stream(path: Path) -> Iterator[pa.RecordBatch]:
    """Batches of an Arrow stream; their buffers are memory-mapped, none is copied or read before it is used."""
    with pa.ipc.open_stream(mapped(path)) as reader:
        yield from reader


def fetch_stream(path: Path) -> Iterator[pa.RecordBatch]:
    """The same; the kernel is asked to fetch the whole file, for whoever will use its rows in any order."""
    with memory_map(path) as source, pa.ipc.open_stream(source) as reader:
        yield from reader


def read_schema(path: Path) -> pa.Schema:
    """The columns of an Arrow stream; no batch is read."""
    with pa.ipc.open_stream(mapped(path)) as reader:
        return reader.schema
