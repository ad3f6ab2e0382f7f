"""Sketches that go with a dataset, so that later ones can be compared with it without reading its texts again."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from bmtool.contracts.kinds import READABLE
from bmtool.data.dataset import open_dataset
from bmtool.data.passes.row_steps import joined_texts
from bmtool.data.passes.split import SPLITS
from bmtool.data.rows import MAX_BATCH_ROWS
from bmtool.data.similarity.fingerprints import VALUES
from bmtool.data.storage import StreamFile, read_stream
from bmtool.errors import MissingInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from bmtool.data.dataset import Dataset
    from bmtool.data.passes.collected import KeptUnit

FOLDER = "sketches"

SCHEMA = pa.schema([pa.field("id", pa.string()), pa.field("sketch", pa.list_(pa.uint16(), VALUES))])


def sketches_path(folder: Path, split: str, shard: int) -> Path:
    """Where a dataset in `folder` has the sketches of a shard of a split."""
    return folder / FOLDER / f"{split}-{shard:05d}.arrow"


def write_sketches(path: Path, parts: Sequence[tuple[KeptUnit, NDArray[np.bool_]]]) -> None:
    """Write id and MinHash of the chosen rows of some units, in their order; `parts` are units with (N,) which rows."""
    file = StreamFile(path, SCHEMA)
    ids: list[pa.Array] = []
    sketches = np.empty((MAX_BATCH_ROWS, VALUES), np.uint16)  # used again and again: it stays in the processor's cache
    filled = 0
    for unit, chosen in parts:
        own, kept = SketchesOf(unit).load(), np.flatnonzero(chosen)
        column = pa.chunked_array([batch.column("id") for batch in unit.batches()], pa.string())
        done = 0
        while done < len(kept):
            rows = kept[done : done + MAX_BATCH_ROWS - filled]
            end = filled + len(rows)
            ids.append(column.take(pa.array(rows)).combine_chunks())
            np.take(own, rows, axis=0, out=sketches[filled:end], mode="clip")  # "raise" would copy twice
            done, filled = done + len(rows), end
            if filled == MAX_BATCH_ROWS:
                _write(file, ids, sketches)
                ids, filled = [], 0
    if filled:
        _write(file, ids, sketches[:filled])
    file.close()


def _write(file: StreamFile, ids: list[pa.Array], sketches: NDArray[np.uint16]) -> None:
    lists = pa.FixedSizeListArray.from_arrays(pa.array(sketches.reshape(-1)), VALUES)
    file.write(pa.record_batch([pa.concat_arrays(ids), lists], schema=SCHEMA))


@dataclass(frozen=True)
class SketchesOf:
    """The sketches of a unit, for `bmtool.data.similarity.bands`."""

    unit: KeptUnit

    def __len__(self) -> int:
        return self.unit.num_rows

    def load(self) -> NDArray[np.uint16]:
        """(N, 112), mapped anew."""
        values: NDArray[np.uint16] = np.load(self.unit.folder / "sketches.npy", mmap_mode="r", allow_pickle=False)
        return values


@dataclass(frozen=True)
class _Part:
    """The sketches of a record batch of an earlier dataset."""

    split: int
    """Index into SPLITS"""
    batch: pa.RecordBatch

    def __len__(self) -> int:
        return int(self.batch.num_rows)

    def load(self) -> NDArray[np.uint16]:
        """(N, 112), mapped."""
        values: NDArray[np.uint16] = self.batch.column("sketch").flatten().to_numpy().reshape(-1, VALUES)
        return values


class Earlier:
    """An earlier dataset, seen through its sketches. N rows, split after split.

    Raises:
        MissingInputError: it has none.
    """

    def __init__(self, folder: Path) -> None:
        if not (folder / FOLDER).exists():
            raise MissingInputError(
                f"{folder}: it holds no sketches of its rows. Prepare it with deduplicate: [near], then it does"
            )
        self.folder = folder
        self.parts = [
            _Part(index, batch)
            for index, split in enumerate(SPLITS)
            for path in sorted((folder / FOLDER).glob(f"{split}-*.arrow"))
            for batch in read_stream(path)
        ]

    def __len__(self) -> int:
        return sum(len(part) for part in self.parts)

    @cached_property
    def _places(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """(split, row in it) of each row."""
        split = np.repeat([part.split for part in self.parts], [len(part) for part in self.parts])
        return split, np.arange(len(split)) - np.searchsorted(split, split)

    @cached_property
    def _dataset(self) -> Dataset:
        return open_dataset(self.folder)

    @cached_property
    def _names(self) -> list[str]:
        """What it calls the columns that its sketches are of."""
        from bmtool.data.examples.labelled import task_of

        kinds = {"text": "text"} if self._dataset.task is None else task_of(self._dataset).columns
        return [name for name, kind in kinds.items() if kind in READABLE]

    def ids(self, rows: NDArray[np.int64]) -> list[str]:
        """The ids of rows, in any order."""
        distinct, back = np.unique(rows, return_inverse=True)
        ids = _values([part.batch for part in self.parts], distinct, lambda batch: batch.column("id"))
        return [ids[place] for place in back.tolist()]

    def texts(self, rows: NDArray[np.int64]) -> pa.Array:
        """The texts of ascending rows."""
        split, row = self._places
        texts = np.empty(len(rows), object)
        for index, name in enumerate(SPLITS):
            mine = split[rows] == index
            if mine.any():
                batches = self._dataset[name].batches()
                texts[mine] = _values(batches, row[rows][mine], lambda batch: joined_texts(batch, self._names))
        return pa.array(texts.tolist(), pa.string())


def _values(
    batches: Iterable[pa.RecordBatch], rows: NDArray[np.int64], read: Callable[[pa.RecordBatch], pa.Array]
) -> list[str]:
    """What `read` makes of ascending rows, batch by batch: `take` on a whole column would copy it."""
    values: list[str] = []
    start = taken = 0
    for batch in batches:
        end = start + batch.num_rows
        upto = int(np.searchsorted(rows, end))
        if upto > taken:
            values += read(batch.take(pa.array(rows[taken:upto] - start))).to_pylist()
            taken = upto
        start = end
    return values
