"""What needs to see all rows at once: copies, splits. Rows are numbered over all units, in reading order."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from bmtool.data.passes.row_steps import joined_texts
from bmtool.data.passes.split import SPLITS, assign, assign_by_order, count_numbers
from bmtool.data.similarity.lookup import perhaps_repeated
from bmtool.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from bmtool.data.passes.collected import KeptUnit


@dataclass(frozen=True)
class Loss:
    """Rows that leave for one reason, in order."""

    reason: str
    rows: NDArray[np.int64]
    kept: NDArray[np.int64] | None = None
    """the row that each is a copy of"""
    kept_ids: Sequence[str | None] | None = None
    """its id instead, where it is in another dataset"""
    similarity: NDArray[np.float64] | None = None
    rule: Sequence[str] | None = None
    threshold: float | None = None


@dataclass
class Decisions:
    """The fate of N rows."""

    keep: NDArray[np.bool_]
    split: NDArray[np.uint8] = field(default_factory=lambda: np.zeros(0, np.uint8))
    """(N,) index into SPLITS"""
    losses: list[Loss] = field(default_factory=list)
    clusters: NDArray[np.int64] | None = None
    """(N,) the first row of the cluster of similar rows that each is in"""
    facts: dict[str, Any] = field(default_factory=dict)
    """what is worth reporting besides"""
    notes: list[str] = field(default_factory=list)
    """names of what is remembered for later runs (`bmtool.data.passes.near_memo`)"""

    def lose(self, loss: Loss) -> None:
        """Let rows go."""
        self.keep[loss.rows] = False
        self.losses.append(loss)

    def of_split(self, name: str, rows: slice = slice(None)) -> NDArray[np.bool_]:
        """(N,) True for the rows that are in a split; or of the given rows alone."""
        return np.asarray(self.keep[rows] & (self.split[rows] == SPLITS.index(name)))


class Rows:
    """Values of numbered rows, read from the units as they are asked for."""

    def __init__(self, units: Sequence[KeptUnit]) -> None:
        self.units = units
        self.starts = np.array([unit.start for unit in units], np.int64)
        self.num_rows = units[-1].rows.stop if units else 0

    def values(
        self, rows: NDArray[np.int64], names: Sequence[str], read: Callable[[pa.RecordBatch], pa.Array]
    ) -> pa.Array:
        """What `read` makes of these columns of each row (in any order, twice is fine).

        Only units with such rows are opened, and of the other columns nothing is read.
        """
        order = np.argsort(rows, kind="stable")
        ordered = rows[order]
        parts = []
        borders = np.searchsorted(ordered, [*self.starts.tolist(), self.num_rows])
        for index, unit in enumerate(self.units):
            first, end = borders[index], borders[index + 1]
            if first < end:
                parts.append(_of_unit(unit, ordered[first:end] - unit.start, names, read))
        if not parts:
            return pa.array([], pa.string())
        back = np.empty(len(rows), np.int64)
        back[order] = np.arange(len(rows))
        return pa.concat_arrays(parts).take(pa.array(back))

    def ids(self, rows: NDArray[np.int64]) -> list[str]:
        """The ids of rows."""
        found: list[str] = self.column(rows, "id").to_pylist()
        return found

    def texts(self, rows: NDArray[np.int64], names: list[str]) -> pa.Array:
        """The joined texts of rows."""
        return self.values(rows, names, lambda batch: joined_texts(batch, names))

    def column(self, rows: NDArray[np.int64], name: str) -> pa.Array:
        """The values of rows in one column."""
        return self.values(rows, [name], lambda batch: batch.column(0))

    def all(self, name: str, keep: NDArray[np.bool_] | None = None) -> Iterator[tuple[slice, pa.Array]]:
        """(row numbers, values) of a column, batch by batch; with `keep` it may skip what isn't kept."""
        for unit in self.units:
            if keep is not None and not keep[unit.rows].any():
                continue
            start = unit.start
            for batch in unit.batches():
                yield slice(start, start + batch.num_rows), batch.column(name)
                start += batch.num_rows

    def all_texts(self, names: list[str], mask: NDArray[np.bool_]) -> Iterator[tuple[slice, pa.Array]]:
        """(row numbers, joined texts) batch by batch; batches without a row of the mask (N,) are left out."""
        for unit in self.units:
            if not mask[unit.rows].any():
                continue
            start = unit.start
            for batch in unit.batches():
                place = slice(start, start + batch.num_rows)
                start = place.stop
                if mask[place].any():
                    yield place, joined_texts(batch, names)


def _of_unit(
    unit: KeptUnit, inside: NDArray[np.int64], names: Sequence[str], read: Callable[[pa.RecordBatch], pa.Array]
) -> pa.Array:
    parts, start, taken = [], 0, 0
    for batch in unit.batches():
        end = start + batch.num_rows
        upto = int(np.searchsorted(inside, end))
        if upto > taken:
            parts.append(read(batch.select(names).take(pa.array(inside[taken:upto] - start))))
            taken = upto
        start = end
    return pa.concat_arrays(parts)


#: Hashes compared at once; more rows are compared in as many rounds, by the first bits of their hashes.
HASHES_AT_ONCE = 4_000_000


def exact_copies(units: Sequence[KeptUnit], num_rows: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(rows, kept): each row whose text was there before, and the first row with that text; both in order."""
    bits = max(0, int(np.ceil(np.log2(max(num_rows, 1) / HASHES_AT_ONCE))))
    rows, kept = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for part in range(1 << bits):
        hashes, numbers = [np.zeros((0, 2), np.uint64)], [np.zeros(0, np.int64)]
        for unit in units:
            own = unit.hashes()
            mine = np.arange(len(own)) if not bits else np.flatnonzero(own[:, 0] >> np.uint64(64 - bits) == part)
            hashes.append(own[mine])
            numbers.append(mine + unit.start)
        some_rows, some_kept = _copies(np.concatenate(hashes), np.concatenate(numbers))
        rows.append(some_rows)
        kept.append(some_kept)
    every, first = np.concatenate(rows), np.concatenate(kept)
    order = np.argsort(every)
    return every[order], first[order]


def _copies(hashes: NDArray[np.uint64], numbers: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    order = perhaps_repeated(hashes[:, 0] | np.uint64(1))
    order = order[np.argsort(hashes[order, 0], kind="stable")]
    first = hashes[order, 0]
    same = np.concatenate([[False], first[1:] == first[:-1]]) if len(first) else np.zeros(0, bool)
    touched = same | np.append(same[1:], False) if len(same) else same
    some = order[touched]  # few: only these are compared by all 128 bits
    some = some[np.lexsort((numbers[some], hashes[some, 1], hashes[some, 0]))]
    new = np.ones(len(some), bool)
    new[1:] = (hashes[some[1:]] != hashes[some[:-1]]).any(axis=1)
    lead = np.repeat(some[new], np.diff(np.append(np.flatnonzero(new), len(some))))
    return numbers[some[~new]], numbers[lead[~new]]


def conflicting_labels(rows: Rows, losses: Sequence[Loss], column: str, *, shown: int = 20) -> dict[str, Any]:
    """How many copies had another label than the row that stays, by reason, and the first few of them."""
    found: dict[str, Any] = {"rows": 0, "examples": []}
    for loss in losses:
        if loss.kept is None or not len(loss.rows):
            continue
        own = np.array(rows.column(loss.rows, column).to_pylist(), object)
        kept = np.array(rows.column(loss.kept, column).to_pylist(), object)
        differ = np.flatnonzero(own != kept)
        found["rows"] += len(differ)
        few = differ[: max(0, shown - len(found["examples"]))]
        for place, gone, stays in zip(few, rows.ids(loss.rows[few]), rows.ids(loss.kept[few]), strict=True):
            found["examples"].append({"id": gone, "label": own[place], "kept": stays, "kept_label": kept[place]})
    return found


def split_rows(
    rows: Rows,
    decisions: Decisions,
    *,
    seed: int,
    validation: float,
    test: float,
    group: str | None = None,
    time: str | None = None,
) -> None:
    """Give each row its split: by time, by a column, by the cluster of similar rows, or by its own id."""
    decisions.split = np.zeros(rows.num_rows, np.uint8)
    if time is not None:
        column = pa.chunked_array([values for _, values in rows.all(time)], type=pa.string())
        decisions.split = assign_by_order(column, decisions.keep, validation=validation, test=test)
        kept = column.filter(pa.array(decisions.keep))
        numbers = count_numbers(kept)
        if 0 < numbers < len(kept):
            decisions.facts["times_as_text"] = {"rows": len(kept), "numbers": numbers}
        return
    shares = {"validation": validation, "test": test}
    for place, values in rows.all(group or "id"):
        decisions.split[place] = assign(values, seed, **shares)
    if group is None and decisions.clusters is not None:
        _split_by_cluster(rows, decisions, seed, shares)


def _split_by_cluster(rows: Rows, decisions: Decisions, seed: int, shares: dict[str, float]) -> None:
    """Rows of a cluster follow the member with the smallest id, kept or not: that depends on no order."""
    clusters = decisions.clusters
    if clusters is None:
        raise AssertionError("rows are split by clusters that weren't looked for")
    sizes = np.bincount(clusters, minlength=rows.num_rows)
    members = np.flatnonzero(sizes[clusters] > 1)
    if not len(members):
        decisions.facts["split_by_cluster"] = {"rows": 0, "moved": 0}
        return
    ids = np.array(rows.ids(members))
    order = np.lexsort((ids, clusters[members]))
    leads = np.concatenate([[True], np.diff(clusters[members][order]) != 0])
    lead = np.empty(len(members), ids.dtype)
    lead[order] = np.repeat(ids[order][leads], np.diff(np.append(np.flatnonzero(leads), len(members))))
    before = decisions.split[members]
    decisions.split[members] = assign(pa.array(lead.tolist(), pa.string()), seed, **shares)
    moved = (before != decisions.split[members]) & decisions.keep[members]
    decisions.facts["split_by_cluster"] = {"rows": int(decisions.keep[members].sum()), "moved": int(moved.sum())}


def check_stratified(counts: Mapping[str, Mapping[str, int]], column: str) -> None:
    """Every label has to be in every split.

    Raises:
        DataError: one is missing somewhere.
    """
    labels = sorted({label for one in counts.values() for label in one})
    missing = [(label, split) for split, one in counts.items() for label in labels if not one.get(label)]
    if missing:
        shown = ", ".join(f"'{label}' in {split}" for label, split in missing[:5])
        raise DataError(
            f"split.stratify: no row with {column} {shown}{', ...' if len(missing) > 5 else ''}. "
            "The split follows a hash and can't be moved: raise the shares, gather more rows, or leave 'stratify' out"
        )
