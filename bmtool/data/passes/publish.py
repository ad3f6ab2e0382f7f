"""Last pass of prepare: give labels their ids, and write the dataset and what was dropped as they stay."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bmtool.artifacts.faults import fault
from bmtool.contracts import LINE
from bmtool.contracts.kinds import LABELS, READABLE
from bmtool.data.kept import Shelf
from bmtool.data.passes.collect import shelf_of
from bmtool.data.passes.decide import Loss, Rows, check_stratified
from bmtool.data.passes.drops import DropWriter, drop_batch, in_reading_order
from bmtool.data.passes.reasons import NOT_DRAWN
from bmtool.data.passes.row_steps import PIECE, joined_texts
from bmtool.data.passes.shards import Finished
from bmtool.data.passes.split import LOTS, Draw, lots, sorted_labels
from bmtool.data.passes.workers import run_beside
from bmtool.data.passes.writing import Writing, Written
from bmtool.data.rows import text_bytes
from bmtool.data.text.documents import text_buffers
from bmtool.data.text.words import count_words
from bmtool.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from bmtool.data.passes.collected import Collected, KeptUnit
    from bmtool.data.passes.decide import Decisions
    from bmtool.data.passes.draft import Draft
    from bmtool.data.passes.units import RowRules
    from bmtool.data.passes.workers import Beside, Tick

#: More distinct labels than this are no labels.
MAX_LABELS = 10_000


def kept_rows(units: Sequence[KeptUnit], mask: NDArray[np.bool_]) -> Iterator[pa.RecordBatch]:
    """The rows of all units for which `mask` is True."""
    for unit in units:
        start = unit.start
        if not mask[unit.rows].any():
            continue
        for batch in unit.batches():
            yield batch.filter(pa.array(mask[start : start + batch.num_rows]))
            start += batch.num_rows


class SampledTexts:
    """The train texts a tokenizer learns from, in reading order; may be iterated more than once.

    All if they have at most `max_bytes`, else as many as fit of those that come first in an order that the seed gives.
    More only if the very first lot, mostly a single row, is larger.
    """

    def __init__(
        self, units: Sequence[KeptUnit], mask: NDArray[np.bool_], column: str, max_bytes: int, *, seed: int
    ) -> None:
        self.units, self.mask, self.column, self.seed = units, mask, column, seed
        self.end = LOTS
        if sum(int(text_bytes(batch, [column]).sum()) for batch in kept_rows(units, mask)) > max_bytes:
            self.end = self._last_lot(max_bytes) + 1

    def _last_lot(self, max_bytes: int) -> int:
        sizes = np.zeros(LOTS)
        for batch in kept_rows(self.units, self.mask):
            mine = lots(batch.column("id"), self.seed).astype(np.int64)
            sizes += np.bincount(mine, text_bytes(batch, [self.column]), minlength=LOTS)
        upto = np.cumsum(sizes)
        return max(int(np.searchsorted(upto, max_bytes, side="right")) - 1, int(np.flatnonzero(sizes)[0]))

    def __iter__(self) -> Iterator[str]:
        for batch in kept_rows(self.units, self.mask):
            texts = batch.column(self.column)
            if self.end < LOTS:
                texts = texts.filter(pa.array(lots(batch.column("id"), self.seed) < self.end))
            yield from texts.to_pylist()


def draw(
    rules: RowRules,
    collected: Collected,
    decisions: Decisions,
    per_label: Mapping[str, int | None],
    *,
    seed: int | None,
) -> None:
    """Keep a few rows of each label of the splits that are drawn from; the others are lost as not drawn."""
    column = rules.of_kind("label")[0]
    gone = []
    for split, wanted in per_label.items():
        if wanted is None:
            continue
        # Another seed draws other rows to learn from; what is tested on stays.
        lottery = Draw(wanted, seed if split == "train" else None)
        mask = decisions.of_split(split)
        for batch in kept_rows(collected.units, mask):
            lottery.add(batch.column("id"), batch.column(column))
        gone.append(np.flatnonzero(mask)[~lottery.drawn()])
    decisions.lose(Loss(NOT_DRAWN, np.sort(np.concatenate(gone))))


@dataclass(frozen=True)
class Published:
    """What was written, for the report."""

    splits: dict[str, Written]
    labels: tuple[str, ...]
    label_counts: dict[str, Counter[str]]


def publish(
    draft: Draft, splits: Sequence[str], *, stratify: str | None = None, has_sketches: bool = False
) -> Published:
    """Write every split: rows that are kept, labels as ids, token ids if there is a tokenizer; and what was dropped.

    With `has_sketches` also MinHash of each row, for later datasets.

    Raises:
        DataError: the labels are none, or one that is to be in every split isn't.
        TryAgainError, StoppedError: the run was asked to stop.
    """
    columns = draft.rules.of_kind(*LABELS)
    units, decisions = draft.collected.units, draft.decisions
    counts = {
        split: count_labels(kept_rows(units, decisions.of_split(split)), columns, most=MAX_LABELS) for split in splits
    }
    labels = find_labels(draft.rules, counts)
    for column in draft.rules.of_kind("number"):
        _check_numbers(column, kept_rows(units, decisions.keep))
    if stratify is not None:
        check_stratified(counts, stratify)
    costs = _drops_beside(draft)
    finished = Finished(Shelf(shelf_of(draft.job) / "shards"))
    written = Writing(draft, splits, labels, finished, has_sketches).write()
    _lose_rows(draft, costs.result())
    return Published(written, labels, counts)


def count_labels(batches: Iterator[pa.RecordBatch], columns: Sequence[str], *, most: int) -> Counter[str]:
    """How often each label occurs in the named columns, list columns member by member.

    Counting stops where there are more than `most` different ones: these are no labels.
    """
    counts: Counter[str] = Counter()
    for batch in batches if columns else ():
        if len(counts) > most:
            break
        for name in columns:
            column = batch.column(name)
            flat = pc.list_flatten(column) if pa.types.is_list(column.type) else column
            counts.update({str(one["values"]): int(one["counts"]) for one in pc.value_counts(flat).to_pylist()})
    return counts


def find_labels(rules: RowRules, counts: Mapping[str, Counter[str]]) -> tuple[str, ...]:
    """The labels by id: the task's own order, else the sorted distinct values of all splits; () for a corpus.

    Raises:
        DataError: there are too many, or fewer than two.
    """
    if not rules.of_kind(*LABELS):
        return ()
    labels = rules.labels or sorted_labels({label for one in counts.values() for label in one})
    column = rules.of_kind(*LABELS)[0]
    if len(labels) > MAX_LABELS:
        raise DataError(
            f"column '{column}' has {len(labels):,} different values (such as '{labels[0]}' and '{labels[-1]}'): "
            f"more than {MAX_LABELS:,}, so these are no labels. Map the right one, as in columns: {{{column}: NAME}}"
        )
    if not labels:
        raise DataError(f"column '{column}' has no label in any row that stays: there is nothing to learn")
    if len(labels) < 2:
        raise DataError(f"column '{column}' has one value only, '{labels[0]}': there is nothing to tell apart")
    return labels


def _check_numbers(column: str, batches: Iterator[pa.RecordBatch]) -> None:
    """Raise DataError if all rows have the same number; it is over at the first other one."""
    first = None
    for batch in batches:
        for value in pc.unique(batch.column(column).drop_null()).to_pylist():
            first = value if first is None else first
            if value != first:
                return
    if first is not None:
        raise DataError(f"column '{column}' has one value only, {first:g}: there is nothing to learn")


@dataclass(frozen=True)
class DropsTask:
    """What a worker needs to know to write down what went."""

    names: tuple[str, ...]
    """Columns of text and words"""
    units: Sequence[KeptUnit]
    losses: Sequence[Loss]
    folder: Path


def _drops_beside(draft: Draft) -> Beside[list[list[int]]]:
    """Have `dropped.arrow` written while the splits are; what each loss costs."""
    decisions, job = draft.decisions, draft.job
    task = DropsTask(tuple(draft.rules.of_kind(*READABLE)), draft.collected.units, decisions.losses, job.folder)
    return run_beside(write_drops, task, stop=job.stop)


def _lose_rows(draft: Draft, costs: Sequence[list[int]]) -> None:
    """Count in the ledger what the decisions cost."""
    for loss, counts in zip(draft.decisions.losses, costs, strict=True):
        draft.collected.lose(loss.reason, counts)
        draft.collected.ledger.rows_out -= counts[0]
    fault("prepare:drops")


def write_drops(task: DropsTask, tick: Tick) -> list[list[int]]:
    """Write every row that went, by the first pass or since; rows, bytes and words that each loss costs."""
    tick(0)
    writer = DropWriter(task.folder)
    for unit in task.units:
        for batch in in_reading_order(unit.dropped(), unit.facts["pieces"]).to_batches():
            writer.write(batch)
    names, costs = list(task.names), []
    for loss in task.losses:
        counts = [len(loss.rows), 0, 0]
        kept_ids = loss.kept_ids if loss.kept is None else Rows(task.units).ids(loss.kept)
        for unit in task.units:
            first, end = np.searchsorted(loss.rows, [unit.start, unit.rows.stop])
            if first < end:
                batch = _lost_rows(unit, loss.rows[first:end] - unit.start)
                counts[1] += int(text_bytes(batch, names).sum())
                counts[2] += int(count_words(*text_buffers(joined_texts(batch, names))).sum())
                writer.write(_loss_batch(unit, loss, slice(first, end), batch, kept_ids))
        costs.append(counts)
    writer.close()
    return costs


def _lost_rows(unit: KeptUnit, inside: NDArray[np.int64]) -> pa.RecordBatch:
    parts, start = [], 0
    for batch in unit.batches():
        first, end = np.searchsorted(inside, [start, start + batch.num_rows])
        if first < end:  # few rows: to take them by number is cheaper than to filter all
            parts.append(batch.take(pa.array(inside[first:end] - start)))
        start += batch.num_rows
    return pa.Table.from_batches(parts).combine_chunks().to_batches()[0]


def _loss_batch(
    unit: KeptUnit, loss: Loss, places: slice, batch: pa.RecordBatch, kept_ids: Sequence[str | None] | None
) -> pa.RecordBatch:
    files = pa.array(unit.facts["pieces"], pa.string()).take(batch.column(PIECE))
    columns: dict[str, pa.Array] = {"file": files, "line": batch.column(LINE)}
    if kept_ids is not None:
        columns["kept"] = pa.array(kept_ids[places], pa.string())
    if loss.similarity is not None:
        columns["similarity"] = pa.array(loss.similarity[places], from_pandas=True)
    if loss.rule is not None:
        columns["rule"] = pa.array(loss.rule[places], pa.string())
    if loss.threshold is not None:
        columns["threshold"] = pa.array([loss.threshold] * batch.num_rows, pa.float64())
    return drop_batch(batch.column("id"), loss.reason, **columns)
