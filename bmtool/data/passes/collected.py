"""What the first pass of prepare kept and counted, by unit and over all of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bmtool.contracts import Ledger
from bmtool.data.kept import read_array
from bmtool.data.passes.unit_pass import DROPPED, HASHES, ROWS, SKETCHES
from bmtool.data.storage import read_stream

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

    from bmtool.data.passes.clock import Clock


@dataclass(frozen=True)
class KeptUnit:
    """What the first pass kept of a unit. N rows."""

    key: str
    source: int
    """Which of the dataset's sources it is from"""
    folder: Path
    facts: dict[str, Any]
    start: int
    """The number of its first row, over all units"""

    @property
    def num_rows(self) -> int:
        """N."""
        return int(self.facts["totals"].get("rows", 0))

    @property
    def rows(self) -> slice:
        """Its rows' numbers, over all units."""
        return slice(self.start, self.start + self.num_rows)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Its rows, memory-mapped."""
        return read_stream(self.folder / ROWS)

    def dropped(self) -> Iterator[pa.RecordBatch]:
        """The rows that went, as `bmtool.data.passes.drops` has them."""
        return read_stream(self.folder / DROPPED)

    def hashes(self) -> NDArray[np.uint64]:
        """(N, 2) hash of each row's text."""
        return read_array(self.folder / HASHES)

    def sketches(self) -> NDArray[np.uint16]:
        """(N, 112) MinHash of each row's text."""
        return read_array(self.folder / SKETCHES)


@dataclass
class Collected:
    """The rows that the first pass kept, and what became of all others."""

    units: list[KeptUnit] = field(default_factory=list)
    ledger: Ledger = field(default_factory=Ledger)
    losses: dict[str, list[int]] = field(default_factory=dict)
    """reason -> rows, bytes and words that left for it"""
    by_rule: dict[str, dict[str, list[int]]] = field(default_factory=dict)
    """filter -> rule -> rows, bytes and words that left for it"""
    rejected_by_reason: dict[str, int] = field(default_factory=dict)
    """which of the dropped rows couldn't be read"""
    rejected_by_file: dict[str, int] = field(default_factory=dict)
    cleaned: dict[str, int] = field(default_factory=dict)
    """cleaner -> texts that it changed"""
    scrubbed: dict[str, int] = field(default_factory=dict)
    """scrubber -> values taken out"""
    taken_out: list[int] = field(default_factory=lambda: [0, 0])
    """bytes and words that texts lost to scrubbers"""
    totals: Counter[str] = field(default_factory=Counter)
    by_source: dict[int, Counter[str]] = field(default_factory=dict)
    """source -> rows_in, rows, bytes, words"""
    seconds: Counter[str] = field(default_factory=Counter)
    """CPU seconds by step, of what wasn't there already"""
    worked_bytes: Counter[str] = field(default_factory=Counter)
    """bytes of rows by step, likewise"""

    @property
    def num_rows(self) -> int:
        """How many rows were kept."""
        return self.units[-1].rows.stop if self.units else 0

    def took(self, clock: Clock) -> None:
        """Count what a step took."""
        self.seconds.update(clock.seconds)
        self.worked_bytes.update(clock.bytes)

    def lose(self, reason: str, counts: list[int]) -> None:
        """Count rows, bytes and words that left for a reason."""
        self.ledger.drop(reason, counts[0])
        self.losses[reason] = [a + b for a, b in zip(self.losses.get(reason, [0, 0, 0]), counts, strict=True)]
