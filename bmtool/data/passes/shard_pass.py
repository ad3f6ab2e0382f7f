"""Third pass of prepare, over a shard: the rows of a few units that are in one split, as they stay on the disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bmtool.artifacts.faults import fault
from bmtool.data.dataset import TOKENS
from bmtool.data.kept import Shelf
from bmtool.data.passes.clock import Clock
from bmtool.data.passes.earlier import write_sketches
from bmtool.data.passes.shards import SKETCHES
from bmtool.data.storage import SplitWriter

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from bmtool.data.passes.collected import KeptUnit
    from bmtool.data.passes.encode_pass import UnitTokens
    from bmtool.data.passes.workers import Tick


@dataclass(frozen=True)
class Part:
    """What one unit gives to a shard. N rows."""

    unit: KeptUnit
    chosen: bytes
    """packed bits, one a row: whether it is in the shard"""
    encoded: bytes
    """likewise: whether it has token ids"""
    tokens: UnitTokens | None


@dataclass(frozen=True)
class ShardTask:
    """What a worker needs to know."""

    key: str
    shelf: Path
    schema: pa.Schema
    label_columns: tuple[str, ...]
    labels: tuple[str, ...]
    parts: tuple[Part, ...]
    has_sketches: bool
    """Whether the rows' sketches are written, too"""


@dataclass(frozen=True)
class Piece:
    """A record batch of a unit, and which tokens belong to its rows."""

    batch: pa.RecordBatch
    rows: slice
    """In the unit"""
    has_tokens: NDArray[np.bool_]
    """Rows that were encoded"""
    first_encoded: int
    """How many rows of the unit before it were encoded"""

    @property
    def num_encoded(self) -> int:
        """How many of its rows were encoded."""
        return int(self.has_tokens.sum())


def pieces_of(unit: KeptUnit, encoded: NDArray[np.bool_]) -> Iterator[Piece]:
    """The batches of a unit; `encoded` (N,) says which of its rows have token ids."""
    start = at = 0
    for batch in unit.batches():
        rows = slice(start, start + batch.num_rows)
        piece = Piece(batch, rows, encoded[rows], at)
        yield piece
        start, at = rows.stop, at + piece.num_encoded


def write_shard(task: ShardTask, tick: Tick) -> tuple[str, Clock]:
    """Write a shard and keep its files under the task's key. Without rows there is no file.

    Returns:
        The key, and what it took.
    """
    clock = Clock()
    chosen = [(part.unit, _unpacked(part.chosen, part.unit)) for part in task.parts]
    with Shelf(task.shelf).filling(task.key) as (folder, _), clock.step("write"):
        writer = SplitWriter(folder, task.schema)
        try:
            for part, (_, mask) in zip(task.parts, chosen, strict=True):
                _write_part(part, mask, task, writer, tick)
            writer.cut()
        finally:
            writer.abandon()
        if task.has_sketches and writer.num_rows:
            write_sketches(folder / SKETCHES, chosen)
        clock.bytes["write"] += sum(path.stat().st_size for path in folder.iterdir())
    return task.key, clock


def _write_part(part: Part, chosen: NDArray[np.bool_], task: ShardTask, writer: SplitWriter, tick: Tick) -> None:
    if not chosen.any():
        return
    encoded = _unpacked(part.encoded, part.unit)
    ids = part.tokens.ids() if part.tokens is not None else None
    offsets = part.tokens.offsets() if part.tokens is not None else None
    for piece in pieces_of(part.unit, encoded):
        mask = chosen[piece.rows]
        tick(int(mask.sum()))
        fault("prepare:write")
        if mask.any():
            lists = None if ids is None or offsets is None else _spread(ids, offsets, piece, mask)
            writer.write(_as_stored(piece.batch, lists, mask, task))


def _unpacked(bits: bytes, unit: KeptUnit) -> NDArray[np.bool_]:
    return np.unpackbits(np.frombuffer(bits, np.uint8), count=unit.num_rows).astype(bool)


def _as_stored(batch: pa.RecordBatch, lists: pa.Array | None, mask: NDArray[np.bool_], task: ShardTask) -> Any:
    """The rows of a batch that are in `mask`, as they go to disk with these lists of ids."""
    rows = batch.select([name for name in task.schema.names if name != TOKENS])
    if not mask.all():
        rows = rows.filter(pa.array(mask))
    columns: dict[str, pa.Array] = dict(zip(rows.schema.names, rows.columns, strict=True))
    columns |= {name: _label_ids(columns[name], task.labels) for name in task.label_columns}
    if lists is not None:
        columns[TOKENS] = lists
    return pa.record_batch([columns[name] for name in task.schema.names], schema=task.schema)


def _label_ids(column: pa.Array, labels: tuple[str, ...]) -> pa.Array:
    known = pa.array(labels, pa.string())
    if pa.types.is_list(column.type):
        flat = pc.index_in(pc.list_flatten(column), known).cast(pa.int64())
        lengths = pc.list_value_length(column).to_numpy(zero_copy_only=False)
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
        return pa.ListArray.from_arrays(pa.array(offsets), flat)
    return pc.index_in(column, known).cast(pa.int64())


def _spread(ids: NDArray[Any], offsets: NDArray[np.int64], piece: Piece, mask: NDArray[np.bool_]) -> pa.Array:
    """A list of ids for each row of a batch that is in `mask`; an empty one for rows that weren't encoded.

    Arrow would take lists apart token by token, which takes several times as long.
    """
    own = offsets[piece.first_encoded : piece.first_encoded + piece.num_encoded + 1]
    lengths = np.zeros(len(piece.has_tokens), np.int64)
    lengths[piece.has_tokens] = np.diff(own)
    values = np.asarray(ids[own[0] : own[-1]])
    if lengths[~mask].any():
        values = values[np.repeat(mask, lengths)]
    borders = np.concatenate([[0], np.cumsum(lengths[mask])]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(borders), pa.array(values))
