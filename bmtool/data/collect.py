"""First pass of prepare: read, clean, filter, deduplicate and split rows, and keep them in a file per split.

Everything is decided row by row in reading order, so how many rows a batch holds changes nothing.
"""

from __future__ import annotations

import json
import shutil
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bmtool.artifacts.faults import fault
from bmtool.artifacts.files import fsync_file, write_text
from bmtool.artifacts.manifest import RESUME
from bmtool.contracts import Ledger
from bmtool.data.deduplicate import SeenTexts, normalised
from bmtool.data.rows import row_ids, schema_of
from bmtool.data.split import SPLITS, assign, split_names
from bmtool.data.storage import StreamFile, read_stream
from bmtool.errors import DataError, stopped

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import TextIO

    from bmtool.console import Progress
    from bmtool.contracts import Cleaner, Filter, Job, Rejected, Source

EMPTY = "empty text"
DUPLICATE = "duplicate"
UNLISTED = "label not listed"


@dataclass(frozen=True)
class Rules:
    """What is done to rows."""

    sources: Sequence[Source]
    columns: Mapping[str, str]
    """our name -> the sources'"""
    kinds: Mapping[str, str]
    """our name -> kind of column, as `bmtool.data.rows` has them"""
    cleaners: Sequence[Cleaner]
    filters: Sequence[Filter]
    is_deduplicated: bool
    labels: tuple[str, ...] | None
    """The labels allowed; None: any"""
    group: str | None
    validation: float
    test: float
    seed: int

    @property
    def schema(self) -> pa.Schema:
        """What sources read."""
        return schema_of(self.kinds)

    def of_kind(self, *kinds: str) -> list[str]:
        """The columns of these kinds."""
        return [name for name, kind in self.kinds.items() if kind in kinds]


@dataclass
class Collected:
    """The rows of the first pass, and what became of all others."""

    folder: Path
    ledger: Ledger = field(default_factory=Ledger)
    rejected_by_reason: dict[str, int] = field(default_factory=dict)
    """which of the dropped rows couldn't be read"""
    rows: dict[str, int] = field(default_factory=dict)
    """split -> rows kept"""
    rejected_by_file: dict[str, int] = field(default_factory=dict)

    def batches(self, split: str) -> Iterator[pa.RecordBatch]:
        """The rows of a split, in reading order."""
        return read_stream(self.folder / f"{split}.arrow")


def collect(rules: Rules, job: Job) -> Collected:
    """Read all sources once, or take up the rows that an interrupted run has read.

    Raises:
        DataError: no row is left, or a file can't be read at all.
        TryAgainError, StoppedError: the run was asked to stop.
    """
    folder = job.folder / RESUME / "rows"
    state = folder / "state.json"
    if state.is_file():
        plain = json.loads(state.read_text(encoding="utf-8"))
        done = Collected(folder, **{**plain, "ledger": Ledger(**plain["ledger"])})
        job.console.say(f"resumed: {done.ledger.rows_in:,} rows were read already")
        return done
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    with (job.folder / "rejected.jsonl").open("w", encoding="utf-8") as rejections:
        collected = _Collector(rules, job, Collected(folder), rejections).run()
    fsync_file(job.folder / "rejected.jsonl")
    _check_rows(collected)
    plain = asdict(collected)
    del plain["folder"]
    write_text(state, json.dumps(plain))  # not sorted: the order of splits and reasons is kept
    fault("prepare:rows")
    return collected


def _check_rows(collected: Collected) -> None:
    ledger = collected.ledger
    ledger.check()
    if ledger.rows_out == 0:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in ledger.dropped.items() if count)
        text = f"{ledger.rows_in:,} came in; dropped: {reasons}" if ledger.rows_in else "the sources hold none"
        raise DataError(f"no row is left: {text}")


class _Collector:
    """One reading of all sources."""

    def __init__(self, rules: Rules, job: Job, collected: Collected, rejections: TextIO) -> None:
        self.rules = rules
        self.job = job
        self.out = collected
        self.rejections = rejections
        self.seen = SeenTexts() if rules.is_deduplicated else None
        self.schema = pa.schema([pa.field("id", pa.string()), *(pa.field(f.name, f.type) for f in rules.schema)])
        self.files = {
            name: StreamFile(collected.folder / f"{name}.arrow", self.schema)
            for name in split_names(validation=rules.validation, test=rules.test)
        }
        rule_names = [EMPTY, *([UNLISTED] if rules.labels else []), *(one.name() for one in rules.filters)]
        for reason in [*rule_names, *([DUPLICATE] if rules.is_deduplicated else [])]:
            collected.ledger.drop(reason, 0)  # in the order in which they are applied: the report's funnel follows it

    def run(self) -> Collected:
        with self.job.console.progress("reading rows") as progress, ExitStack() as stack:
            for file in self.files.values():
                stack.callback(file.abandon)
            for source in self.rules.sources:
                mapping = {**self.rules.columns, **(source.columns or {})}
                for batch in source.read(mapping, self.rules.schema, self.reject):
                    self.take(batch, progress)
            for name, file in self.files.items():
                file.close()
                self.out.rows.setdefault(name, 0)
        return self.out

    def reject(self, rejected: Rejected) -> None:
        """Count a row that can't be read, and write down where it is; never its text."""
        self.go_on()
        self.out.ledger.rows_in += 1
        reason = rejected.reason.partition(": ")[0]
        self.out.ledger.drop(reason, 1)
        for counts, key in ((self.out.rejected_by_reason, reason), (self.out.rejected_by_file, rejected.file)):
            counts[key] = counts.get(key, 0) + 1
        self.rejections.write(json.dumps(asdict(rejected), ensure_ascii=False) + "\n")

    def go_on(self) -> None:
        if self.job.stop.reason:
            raise stopped(self.job.stop.reason, "what was read so far is read again next time")

    def take(self, batch: pa.RecordBatch, progress: Progress) -> None:
        """Do everything to one batch of rows."""
        self.go_on()
        fault("prepare:batch")
        ledger = self.out.ledger
        ledger.rows_in += batch.num_rows
        progress.advance(batch.num_rows)
        batch = pa.record_batch([row_ids(batch), *batch.columns], schema=self.schema)
        batch = self.clean(batch)
        batch = self.keep(batch, self.not_empty(batch), EMPTY)
        if self.rules.labels is not None:
            batch = self.keep(batch, self.listed(batch), UNLISTED)
        for one in self.rules.filters:
            for name in self.rules.of_kind("text"):
                batch = self.keep(batch, one.keep(batch.column(name)), one.name())
        if self.seen is not None:
            texts = normalised(batch, self.rules.of_kind("text", "words"))
            batch = self.keep(batch, pa.array(self.seen.first(texts)), DUPLICATE)
        ledger.rows_out += batch.num_rows
        self.put(batch)

    def clean(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        for name in self.rules.of_kind("text"):
            texts = batch.column(name)
            for cleaner in self.rules.cleaners:
                texts = cleaner.clean(texts)
            batch = batch.set_column(batch.schema.get_field_index(name), self.schema.field(name), texts)
        return batch

    def keep(self, batch: pa.RecordBatch, mask: pa.Array, reason: str) -> pa.RecordBatch:
        kept = batch.filter(mask)
        self.out.ledger.drop(reason, batch.num_rows - kept.num_rows)
        return kept

    def not_empty(self, batch: pa.RecordBatch) -> pa.Array:
        mask = pa.array(np.ones(batch.num_rows, dtype=bool))
        for name in self.rules.of_kind("text"):
            mask = pc.and_(mask, pc.match_substring_regex(batch.column(name), r"[^\s\v\x{85}\pZ]"))
        for name in self.rules.of_kind("words"):
            mask = pc.and_(mask, pc.greater(pc.list_value_length(batch.column(name)), 0))
        return mask

    def listed(self, batch: pa.RecordBatch) -> pa.Array:
        allowed = pa.array(self.rules.labels, pa.string())
        mask = np.ones(batch.num_rows, dtype=bool)
        for name in self.rules.of_kind("label"):
            mask &= pc.is_in(batch.column(name), allowed).to_numpy(zero_copy_only=False)
        for name in self.rules.of_kind("tags"):
            column = batch.column(name)
            strange = pc.invert(pc.is_in(pc.list_flatten(column), allowed))
            mask[pc.list_parent_indices(column).filter(strange).to_numpy()] = False
        return pa.array(mask)

    def put(self, batch: pa.RecordBatch) -> None:
        values = batch.column(self.rules.group or "id")
        places = assign(values, self.rules.seed, validation=self.rules.validation, test=self.rules.test)
        for name, file in self.files.items():
            part = batch.filter(pa.array(places == SPLITS.index(name)))
            if part.num_rows:
                file.write(part)
                self.out.rows[name] = self.out.rows.get(name, 0) + part.num_rows
