"""What earlier runs found about similar rows, remembered beside the store, so that it needn't be looked for again.

It changes nothing but the time, and may be deleted. Runs of the same rules share one note of each kind; the last stays.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import xxhash

from bmtool.artifacts.faults import fault
from bmtool.data.kept import Shelf
from bmtool.data.passes.collect import shelf_of
from bmtool.data.passes.collected import KeptUnit
from bmtool.data.passes.earlier import SketchesOf
from bmtool.data.similarity.again import ComparedBefore, Moved
from bmtool.data.similarity.bands import Sketches
from bmtool.data.similarity.candidates import Compared, most_pairs
from bmtool.data.similarity.overlap_again import OverlapBefore

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from bmtool.contracts import Job
    from bmtool.data.passes.decide import Rows
    from bmtool.data.passes.units import RowRules
    from bmtool.data.similarity.overlap import Overlap
    from bmtool.data.similarity.similar import Measured

#: Raised when something else is found in the same texts than before.
VERSION = 1

#: The shelf's name; `bmtool clean` knows it.
SHELF = "near"


@dataclass
class NearMemo:
    """The notes of one dataset."""

    rows: Rows
    rules: RowRules
    threshold: float
    job: Job
    names: list[str] = field(default_factory=list)
    """Of the notes that were written"""

    def compared(self) -> ComparedBefore | None:
        """What was compared before."""
        note = self._read("compared")
        moved = self._moved(note) if note else None
        if note is None or moved is None:
            return None
        pairs = Compared(note["first"], note["second"], note["matches"])
        return ComparedBefore(moved, _unpacked(note["alive"], len(moved.place)), pairs, note["similarity"])

    def keep_compared(self, alive: NDArray[np.bool_], found: Measured) -> None:
        """Note what was compared, unless there was so much that not all was."""
        pairs = found.pairs
        if len(pairs.first) > most_pairs(len(alive)):
            return
        self._write(
            "compared",
            alive=np.packbits(alive),
            first=pairs.first,
            second=pairs.second,
            matches=pairs.matches,
            similarity=found.similarity,
        )

    def overlap(self) -> OverlapBefore | None:
        """What twins were found before."""
        note = self._read("overlap")
        moved = self._moved(note) if note else None
        if note is None or moved is None:
            return None
        is_train = _unpacked(note["is_train"], len(moved.place))
        return OverlapBefore(moved, is_train, *(note[name] for name in ("row", "twin", "similarity", "is_exact")))

    def keep_overlap(self, is_train: NDArray[np.bool_], held_out: NDArray[np.int64], found: Overlap) -> None:
        """Note the twins of held-out rows, and which have none."""
        where = np.searchsorted(held_out, found.row)
        twin, similarity = np.full(len(held_out), -1, np.int64), np.zeros(len(held_out), np.float32)
        is_exact = np.zeros(len(held_out), np.bool_)
        twin[where], similarity[where], is_exact[where] = found.twin, found.similarity, found.is_exact
        bits = np.packbits(is_train)
        self._write("overlap", is_train=bits, row=held_out, twin=twin, similarity=similarity, is_exact=is_exact)

    # ---------------------------------------------------------------- where rows are now

    def _moved(self, note: Mapping[str, NDArray[Any]]) -> Moved | None:
        """Where the rows of a note are now; None if nothing is kept any more of rows that are gone."""
        now = {unit.key: unit for unit in self.rows.units}
        place, gone = [np.zeros(0, np.int64)], []
        end = -1
        rows = Shelf(shelf_of(self.job) / "rows")
        for key, num_rows in zip(note["units"].tolist(), note["num_rows"].tolist(), strict=True):
            unit = now.get(key.decode())
            if unit is not None and unit.start >= end:  # rows that changed their order came and went
                end = unit.rows.stop
                place.append(np.arange(unit.start, end))
                continue
            place.append(np.full(num_rows, -1))
            facts = rows.find(key.decode())
            if facts is None:
                return None
            gone.append(SketchesOf(KeptUnit(key.decode(), 0, rows.path(key.decode()), facts, 0)))
        return Moved(np.concatenate(place), Sketches(gone))

    # ---------------------------------------------------------------- files

    def _path(self, kind: str) -> Path:
        identities = [self.rules.identity(index) for index in range(len(self.rules.sources))]
        plain = json.dumps([VERSION, kind, self.threshold, identities], sort_keys=True, ensure_ascii=False)
        name = hashlib.sha256(plain.encode()).hexdigest()[:32]
        return shelf_of(self.job) / SHELF / name[:2] / name

    def _read(self, kind: str) -> dict[str, NDArray[Any]] | None:
        """What was noted; None if nothing was, or it is damaged."""
        if self.job.is_fresh:
            return None
        try:
            data = self._path(kind).read_bytes()
        except FileNotFoundError:
            return None
        return _unsealed(data)

    def _write(self, kind: str, **arrays: NDArray[Any]) -> None:
        units: Sequence[KeptUnit] = self.rows.units
        keys = np.array([unit.key.encode() for unit in units], "S32")
        num_rows = np.array([unit.num_rows for unit in units], np.int64)
        path = self._path(kind)
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_name(f".{path.name}.{socket.gethostname()}.{os.getpid()}")
        fault("write")
        new.write_bytes(_sealed({"units": keys, "num_rows": num_rows, **arrays}))
        new.rename(path)
        self.names.append(path.name)


def _sealed(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    """Arrays behind a hash of them and their names."""
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.array([name.encode() for name in arrays]), allow_pickle=False)
    for values in arrays.values():
        np.lib.format.write_array(buffer, np.ascontiguousarray(values), allow_pickle=False)
    return xxhash.xxh3_128_digest(buffer.getbuffer()) + buffer.getvalue()


def _unsealed(data: bytes) -> dict[str, NDArray[Any]] | None:
    """What `_sealed` was given; None if it isn't that any more."""
    if xxhash.xxh3_128_digest(memoryview(data)[16:]) != data[:16]:
        return None
    buffer = io.BytesIO(data)
    buffer.seek(16)
    names = np.lib.format.read_array(buffer, allow_pickle=False).tolist()
    return {name.decode(): np.lib.format.read_array(buffer, allow_pickle=False) for name in names}


def _unpacked(bits: NDArray[np.uint8], count: int) -> NDArray[np.bool_]:
    return np.unpackbits(bits, count=count).astype(np.bool_)
