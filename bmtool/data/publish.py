"""Last pass of prepare: give labels their ids, and write the dataset and what was dropped as they stay."""

from __future__ import annotations

import shutil
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bmtool.artifacts.faults import fault
from bmtool.artifacts.files import write_json
from bmtool.contracts import LINE
from bmtool.data.dataset import TOKENS
from bmtool.data.decide import NOT_DRAWN, Loss, Rows, check_stratified
from bmtool.data.documents import text_buffers
from bmtool.data.drops import DropWriter, drop_batch, in_reading_order
from bmtool.data.encode import ids_dtype
from bmtool.data.rows import schema_of, text_bytes
from bmtool.data.split import SPLITS, Draw, share_of_ids, sorted_labels
from bmtool.data.storage import SplitWriter, features, write_split_info
from bmtool.data.unit_pass import PIECE, joined_texts
from bmtool.data.words import count_words
from bmtool.errors import DataError, stopped

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray
    from tokenizers import Tokenizer

    from bmtool.contracts import Job
    from bmtool.data.collect import Collected, KeptUnit, RowRules
    from bmtool.data.decide import Decisions
    from bmtool.data.encode_pass import UnitTokens

#: A tokenizer learns from no more than this: its counts have settled long before, and its memory is bounded.
TOKENIZER_BYTES = 64 * 1024**2

#: More distinct labels than this are no labels.
MAX_LABELS = 10_000


@dataclass
class Written:
    """What a split holds."""

    rows: int = 0
    text_bytes: int = 0
    tokens: int = 0
    lengths: list[NDArray[np.int64]] = field(default_factory=list)
    """Of each row's tokens in a corpus, else of its text in bytes"""

    def length_summary(self) -> dict[str, int]:
        """The spread of lengths: median, 90th and 99th percentile, the longest."""
        lengths = np.concatenate([np.zeros(0, np.int64), *self.lengths])
        if not len(lengths):
            return {}
        p50, p90, p99 = np.quantile(lengths, [0.5, 0.9, 0.99], method="higher").tolist()
        return {"p50": int(p50), "p90": int(p90), "p99": int(p99), "max": int(lengths.max())}

    def length_histogram(self) -> list[list[int]]:
        """[lower edge, rows] for lengths from each power of two to the next; lengths of 0 have an edge of their own."""
        counts: Counter[int] = Counter()
        for lengths in self.lengths:
            bits = np.frexp(lengths.astype(np.float64))[1]  # binary digits of n; 0 for 0
            counts.update(dict(zip(*(one.tolist() for one in np.unique(bits, return_counts=True)), strict=True)))
        return [[0 if bits == 0 else 1 << (bits - 1), counts[bits]] for bits in sorted(counts)]


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
    """The train texts a tokenizer learns from; may be iterated more than once."""

    def __init__(
        self, units: Sequence[KeptUnit], mask: NDArray[np.bool_], column: str, max_bytes: int = TOKENIZER_BYTES
    ) -> None:
        self.units, self.mask, self.column = units, mask, column
        total = sum(int(text_bytes(batch, [column]).sum()) for batch in kept_rows(units, mask))
        self.share = min(1.0, max_bytes / max(total, 1))

    def __iter__(self) -> Iterator[str]:
        for batch in kept_rows(self.units, self.mask):
            texts = batch.column(self.column)
            if self.share < 1:
                texts = texts.filter(share_of_ids(batch.column("id"), self.share))
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
    tokenizer: Tokenizer | None


def publish(
    rules: RowRules,
    collected: Collected,
    decisions: Decisions,
    splits: Sequence[str],
    job: Job,
    *,
    tokenizer: Tokenizer | None,
    tokens: Sequence[UnitTokens],
    stratify: str | None = None,
) -> Published:
    """Write every split: rows that are kept, labels as ids, token ids if there is a tokenizer; and what was dropped.

    Raises:
        DataError: the labels are none, or one that is to be in every split isn't.
        TryAgainError, StoppedError: the run was asked to stop.
    """
    columns = rules.of_kind("label", "tags")
    counts = {
        split: count_labels(kept_rows(collected.units, decisions.of_split(split)), columns, most=MAX_LABELS)
        for split in splits
    }
    labels = find_labels(rules, counts)
    if stratify is not None:
        check_stratified(counts, stratify)
    write_drops(rules, collected, decisions, job)
    publisher = Publisher(rules, collected, decisions, splits, job, labels, tokenizer, tokens)
    return Published(publisher.write(), labels, counts, tokenizer)


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
    if not rules.of_kind("label", "tags"):
        return ()
    labels = rules.labels or sorted_labels({label for one in counts.values() for label in one})
    column = rules.of_kind("label", "tags")[0]
    if len(labels) > MAX_LABELS:
        raise DataError(
            f"column '{column}' has {len(labels):,} different values (such as '{labels[0]}' and '{labels[-1]}'): "
            f"more than {MAX_LABELS:,}, so these are no labels. Map the right one, as in columns: {{{column}: NAME}}"
        )
    if len(labels) < 2:
        raise DataError(f"column '{column}' has one value only, '{labels[0]}': there is nothing to tell apart")
    return labels


def write_drops(rules: RowRules, collected: Collected, decisions: Decisions, job: Job) -> None:
    """Write `dropped.arrow`, and count what the decisions cost in the ledger."""
    names = rules.of_kind("text", "words")
    writer = DropWriter(job.folder)
    for unit in collected.units:
        for batch in in_reading_order(unit.dropped(), unit.facts["pieces"]).to_batches():
            writer.write(batch)
    for loss in decisions.losses:
        counts = [len(loss.rows), 0, 0]
        kept_ids = loss.kept_ids if loss.kept is None else Rows(collected.units).ids(loss.kept)
        for unit in collected.units:
            first, end = np.searchsorted(loss.rows, [unit.start, unit.rows.stop])
            if first < end:
                batch = _lost_rows(unit, loss.rows[first:end] - unit.start)
                counts[1] += int(text_bytes(batch, names).sum())
                counts[2] += int(count_words(*text_buffers(joined_texts(batch, names))).sum())
                writer.write(_loss_batch(unit, loss, slice(first, end), batch, kept_ids))
        collected.lose(loss.reason, counts)
        collected.ledger.rows_out -= counts[0]
    writer.close()
    fault("prepare:drops")


def _lost_rows(unit: KeptUnit, inside: NDArray[np.int64]) -> pa.RecordBatch:
    mask = np.zeros(unit.num_rows, bool)
    mask[inside] = True
    parts, start = [], 0
    for batch in unit.batches():
        parts.append(batch.filter(pa.array(mask[start : start + batch.num_rows])))
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


@dataclass(frozen=True)
class Publisher:
    """Writes the splits of one dataset, all of them in one reading of the rows."""

    rules: RowRules
    collected: Collected
    decisions: Decisions
    splits: Sequence[str]
    job: Job
    labels: tuple[str, ...]
    tokenizer: Tokenizer | None
    tokens: Sequence[UnitTokens]

    def schema(self) -> pa.Schema:
        """The columns on disk."""
        fields = [pa.field("id", pa.string())]
        for one in schema_of(self.rules.kinds):
            kind = self.rules.kinds[one.name]
            stored = {"label": pa.int64(), "tags": pa.list_(pa.int64())}.get(kind, one.type)
            fields.append(pa.field(one.name, stored))
        if self.tokenizer is not None:
            dtype = pa.from_numpy_dtype(ids_dtype(self.tokenizer.get_vocab_size()))
            fields.append(pa.field(TOKENS, pa.list_(dtype)))
        return pa.schema(fields)

    def write(self) -> dict[str, Written]:
        """Write every split with a share above zero, also one that happens to be empty."""
        schema = self.schema()
        described = features(schema, dict.fromkeys(self.rules.of_kind("label", "tags"), self.labels))
        written = {split: Written() for split in self.splits}
        for split in self.splits:
            shutil.rmtree(self.job.folder / split, ignore_errors=True)
        writers = {split: SplitWriter(self.job.folder / split, schema) for split in self.splits}
        with self.job.console.progress("writing rows", self.collected.num_rows) as progress, ExitStack() as stack:
            for writer in writers.values():
                stack.callback(writer.abandon)
            for index, unit in enumerate(self.collected.units):
                self._write_unit(index, unit, writers, written)
                progress.advance(unit.num_rows)
            shards = {split: writer.close() for split, writer in writers.items()}
        for split, names in shards.items():
            written[split].rows = writers[split].num_rows
            write_split_info(
                self.job.folder / split,
                names,
                written[split].rows,
                described=described,
                fingerprint=self.job.fingerprint,
            )
        write_json(self.job.folder / "dataset_dict.json", {"splits": list(written)})
        return written

    def _write_unit(
        self, index: int, unit: KeptUnit, writers: Mapping[str, SplitWriter], written: Mapping[str, Written]
    ) -> None:
        keep = self.decisions.keep[unit.rows]
        split = self.decisions.split[unit.rows]
        ids, offsets, encoded = None, None, np.zeros(0, bool)
        if self.tokenizer is not None:
            ids, offsets = self.tokens[index].ids(), self.tokens[index].offsets()
            encoded = self._encoded(unit)
        start = at = 0
        for batch in unit.batches():
            if self.job.stop.reason:
                raise stopped(self.job.stop.reason, "all rows are read and kept")
            fault("prepare:write")
            end = start + batch.num_rows
            lists = None
            if ids is not None and offsets is not None:
                number = int(encoded[start:end].sum())
                lists = _spread(ids, offsets, at, encoded[start:end])
                at += number
            for name, writer in writers.items():
                mask = keep[start:end] & (split[start:end] == SPLITS.index(name))
                if mask.any():
                    writer.write(self._finished(batch, lists, mask, writer.schema, written[name]))
            start = end

    def _encoded(self, unit: KeptUnit) -> NDArray[np.bool_]:
        """Which rows of a unit have ids: those that stayed when it was encoded, so also those without any token."""
        encoded = self.decisions.keep[unit.rows].copy()
        for loss in self.decisions.losses:
            if loss.reason == NO_TOKENS:
                first, end = np.searchsorted(loss.rows, [unit.start, unit.rows.stop])
                encoded[loss.rows[first:end] - unit.start] = True
        return encoded

    def _finished(
        self, batch: pa.RecordBatch, lists: pa.Array | None, mask: NDArray[np.bool_], schema: pa.Schema, out: Written
    ) -> pa.RecordBatch:
        """The rows of a batch as they go to disk; `out` counts."""
        names = self.rules.of_kind("text", "words")
        columns = dict(zip(batch.schema.names, batch.columns, strict=True))
        for name in self.rules.of_kind("label", "tags"):
            columns[name] = self._label_ids(columns[name])
        if lists is not None:
            columns[TOKENS] = lists
        finished = pa.record_batch([columns[name] for name in schema.names], schema=schema)
        if not mask.all():
            finished = finished.filter(pa.array(mask))
        sizes = text_bytes(finished, names)
        out.text_bytes += int(sizes.sum())
        if lists is not None:
            sizes = pc.list_value_length(finished.column(TOKENS)).to_numpy(zero_copy_only=False).astype(np.int64)
            out.tokens += int(sizes.sum())
        out.lengths.append(sizes)
        return finished

    def _label_ids(self, column: pa.Array) -> pa.Array:
        known = pa.array(self.labels, pa.string())
        if pa.types.is_list(column.type):
            flat = pc.index_in(pc.list_flatten(column), known).cast(pa.int64())
            lengths = pc.list_value_length(column).to_numpy(zero_copy_only=False)
            offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
            return pa.ListArray.from_arrays(pa.array(offsets), flat)
        return pc.index_in(column, known).cast(pa.int64())


NO_TOKENS = "no tokens"


def _spread(ids: NDArray[Any], offsets: NDArray[np.int64], at: int, has: NDArray[np.bool_]) -> pa.Array:
    """A list of ids for each row of a batch: those of the encoded rows from number `at` on, empty ones for the rest."""
    number = int(has.sum())
    own = offsets[at : at + number + 1]
    lengths = np.zeros(len(has), np.int64)
    lengths[has] = np.diff(own)
    borders = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(borders), pa.array(np.asarray(ids[own[0] : own[-1]])))
