"""Rows that were dropped: which, why, by what measure, and for which row that stays; never their text."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from bmtool.data.rows import MAX_BATCH_ROWS
from bmtool.data.storage import StreamFile, read_stream

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

DROPS = "dropped.arrow"

DROP_SCHEMA = pa.schema(
    [
        pa.field("id", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("rule", pa.string()),
        pa.field("value", pa.float64()),
        pa.field("threshold", pa.float64()),
        pa.field("kept", pa.string()),
        pa.field("similarity", pa.float64()),
        pa.field("file", pa.string()),
        pa.field("line", pa.int64()),
    ]
)


def drop_batch(ids: pa.Array, reason: str, **columns: pa.Array) -> pa.RecordBatch:
    """Rows that leave for one reason; columns that aren't given are null."""
    given = {"id": ids, "reason": pa.array([reason] * len(ids), pa.string()), **columns}
    filled = [given.get(one.name, pa.nulls(len(ids), one.type)) for one in DROP_SCHEMA]
    return pa.record_batch(filled, schema=DROP_SCHEMA)


def find_drop(folder: Path, row: str) -> Iterator[dict[str, object]]:
    """What `dropped.arrow` of a dataset says of the row with this id; equal rows may have gone more than once."""
    for batch in read_stream(folder / DROPS):
        yield from batch.filter(pc.equal(batch.column("id"), row)).to_pylist()


class DropWriter:
    """Writes `dropped.arrow`: batches of a fixed number of rows, however they arrive."""

    def __init__(self, folder: Path) -> None:
        self.file = StreamFile(folder / DROPS, DROP_SCHEMA)
        self.waiting: list[pa.RecordBatch] = []
        self.rows = 0

    def write(self, batch: pa.RecordBatch) -> None:
        """Append rows."""
        self.waiting.append(batch)
        self.rows += batch.num_rows
        while self.rows >= MAX_BATCH_ROWS:
            self._flush(MAX_BATCH_ROWS)

    def _flush(self, count: int) -> None:
        table = pa.Table.from_batches(self.waiting, schema=DROP_SCHEMA)
        # `take` copies into fresh buffers: nothing of how the rows arrived is left in the bytes.
        first = table.take(pa.array(range(count), pa.int64())).combine_chunks()
        self.file.write(first.to_batches()[0])
        self.waiting, self.rows = table.slice(count).to_batches(), self.rows - count

    def close(self) -> None:
        """Write what is left."""
        if self.rows:
            self._flush(self.rows)
        self.file.close()


def in_reading_order(batches: Iterator[pa.RecordBatch], files: Sequence[str]) -> pa.Table:
    """The drops of a unit in the order of its rows; `files` are the unit's, in order."""
    table = pa.Table.from_batches(batches, schema=DROP_SCHEMA)
    place = pc.index_in(table["file"], pa.array(list(dict.fromkeys(files)), pa.string()))
    keys = [(name, "ascending") for name in ("place", "line", "reason", "id")]
    return table.append_column("place", place).sort_by(keys).drop_columns(["place"])
