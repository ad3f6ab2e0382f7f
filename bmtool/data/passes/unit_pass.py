"""First pass of prepare, over one unit: read, clean, filter, scrub and fingerprint rows, and keep what is left.

Everything is decided row by row; what needs to see all rows (copies, splits) comes later, from what is kept here.
"""

from __future__ import annotations

import json
from collections import Counter
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bmtool.artifacts.faults import fault
from bmtool.artifacts.files import unchanged
from bmtool.contracts import LINE, Reading
from bmtool.contracts.kinds import JUDGED, READABLE
from bmtool.data.compiled import compiling_once
from bmtool.data.kept import Shelf, write_array
from bmtool.data.messages import as_text
from bmtool.data.passes.clock import Clock
from bmtool.data.passes.drops import DROP_SCHEMA, drop_batch
from bmtool.data.passes.few import few_rows
from bmtool.data.passes.reasons import EMPTY, NOT_SAMPLED, UNLISTED
from bmtool.data.passes.row_steps import clean, joined_texts, kept_schema, listed, not_empty, with_ids, without_private
from bmtool.data.passes.split import share_of_ids
from bmtool.data.rows import schema_of, text_bytes
from bmtool.data.similarity.fingerprints import sketch, text_hashes
from bmtool.data.storage import StreamFile
from bmtool.data.text.documents import Documents, text_buffers
from bmtool.data.text.words import count_words

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

    from bmtool.contracts import Piece, Rejected, Verdict
    from bmtool.data.passes.units import RowRules, Unit
    from bmtool.data.passes.workers import Tick

ROWS, DROPPED, REJECTED = "rows.arrow", "dropped.arrow", "rejected.jsonl"
HASHES, SKETCHES = "hashes.npy", "sketches.npy"


@dataclass(frozen=True)
class UnitTask:
    """What a worker needs to know."""

    rules: RowRules
    unit: Unit
    shelf: Path


def pass_over_unit(task: UnitTask, tick: Tick) -> dict[str, Any]:
    """Read a unit and keep what is left of it under its key; the facts noted with it, and the seconds it took."""
    rules = task.rules
    steps = [one.name() for one in (rules.sources[task.unit.source], *rules.cleaners, *rules.filters, *rules.scrubbers)]
    with compiling_once(["units", *steps], tick), Shelf(task.shelf).filling(task.unit.key) as (folder, facts):
        work = UnitPass(task, folder, tick)
        facts.update(work.run())
    return {**facts, "seconds": dict(work.clock.seconds), "worked_bytes": dict(work.clock.bytes)}


class UnitPass:
    """One reading of one unit. A preview takes its steps one by one (`bmtool.data.passes.preview`)."""

    def __init__(self, task: UnitTask, folder: Path, tick: Tick) -> None:
        self.rules, self.unit, self.folder, self.tick = task.rules, task.unit, folder, tick
        self.schema = kept_schema(task.rules)
        self.clock = Clock()
        self.losses: dict[str, list[int]] = {}
        self.by_rule: dict[str, dict[str, list[int]]] = {}
        self.rejected_by_reason: Counter[str] = Counter()
        self.rejected_by_file: Counter[str] = Counter()
        self.cleaned: Counter[str] = Counter()
        self.scrubbed: Counter[str] = Counter()
        self.taken_out = [0, 0]
        self.totals = Counter[str]()
        self.hashes: list[NDArray[Any]] = []
        self.sketches: list[NDArray[np.uint16]] = []
        self.piece = 0

    def run(self) -> dict[str, Any]:
        """Read all pieces and write what is left; the facts to be noted with it."""
        with ExitStack() as stack:
            self.rejections = stack.enter_context((self.folder / REJECTED).open("w", encoding="utf-8"))
            self.kept = StreamFile(self.folder / ROWS, self.schema)
            self.drops = StreamFile(self.folder / DROPPED, DROP_SCHEMA)
            stack.callback(self.kept.abandon)
            stack.callback(self.drops.abandon)
            files = [self.read(index, piece) for index, piece in enumerate(self.unit.pieces)]
            self.kept.close()
            self.drops.close()
        if self.rules.is_hashed:
            write_array(self.folder / HASHES, _joined(self.hashes, (0, 2), np.uint64))
        if self.rules.is_sketched:
            write_array(self.folder / SKETCHES, _joined(self.sketches, (0, 112), np.uint16))
        return {
            "pieces": [piece.file for piece in self.unit.pieces],
            "totals": dict(self.totals),
            "losses": self.losses,
            "by_rule": self.by_rule,
            "rejected_by_reason": dict(self.rejected_by_reason),
            "rejected_by_file": dict(self.rejected_by_file),
            "cleaned": dict(self.cleaned),
            "scrubbed": dict(self.scrubbed),
            "taken_out": self.taken_out,
            "columns": files,
        }

    def read(self, index: int, piece: Piece) -> dict[str, Any]:
        """Take every row of a piece; what is known of its columns."""
        self.piece = index
        rules = self.rules
        reading = Reading(rules.columns_of(self.unit.source), schema_of(rules.kinds), self.reject)
        batches = rules.sources[self.unit.source].read(piece, reading)
        if rules.max_rows is not None:
            batches = few_rows(batches, -(-rules.max_rows // len(self.unit.pieces)))
        with unchanged(piece.path, piece.stamp):  # else another file's rows would be kept under its key
            while (batch := self.next_of(batches)) is not None:
                self.take(batch)
        return {"file": piece.file, "unseen": sorted(reading.unseen), "known": reading.known[:20]}

    def next_of(self, batches: Iterator[pa.RecordBatch]) -> pa.RecordBatch | None:
        """The next batch; None behind the last."""
        with self.clock.step("read"):
            batch = next(batches, None)
        self.clock.bytes["read"] += 0 if batch is None else batch.nbytes
        return batch

    def reject(self, rejected: Rejected) -> None:
        """Count a row that can't be read, and write down where it is; never its text."""
        self.tick(1)
        self.totals["rows_in"] += 1
        self.rejected_by_reason[rejected.reason.partition(": ")[0]] += 1
        self.rejected_by_file[rejected.file] += 1
        self.rejections.write(json.dumps(asdict(rejected), ensure_ascii=False) + "\n")

    def take(self, batch: pa.RecordBatch) -> None:
        """Do everything to one batch of rows."""
        self.tick(batch.num_rows)
        fault("prepare:batch")
        rules = self.rules
        self.totals["rows_in"] += batch.num_rows
        with self.clock.step("ids", batch.nbytes):
            batch = with_ids(batch, self.piece, self.schema)
        weight = rules.sources[self.unit.source].weight
        if weight < 1:
            batch = self.keep(batch, share_of_ids(batch.column("id"), weight), NOT_SAMPLED)
        with self.clock.step("clean", batch.nbytes):
            batch = clean(batch, rules, self.cleaned)
        batch = self.keep(batch, not_empty(batch, rules), EMPTY)
        with self.clock.step("count", batch.nbytes):
            self.count(batch)
        if rules.labels is not None:
            batch = self.keep(batch, listed(batch, rules), UNLISTED)
        with self.clock.step("filter", batch.nbytes):
            batch = self.filter(batch)
        with self.clock.step("scrub", batch.nbytes):
            batch = self.scrub(batch)
        if not batch.num_rows:
            return
        with self.clock.step("fingerprint", batch.nbytes):
            self.fingerprint(batch)
        with self.clock.step("keep", batch.nbytes):
            self.totals["rows"] += batch.num_rows
            self.kept.write(batch)

    def count(self, batch: pa.RecordBatch) -> None:
        """Add up bytes and words."""
        names = self.rules.of_kind(*READABLE)
        num_bytes, num_words = _amounts(batch, names).sum(axis=1)
        self.totals["bytes"] += int(num_bytes)
        self.totals["words"] += int(num_words)

    def filter(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Drop what a filter drops. All filters see all rows at once; a row goes for the first that it fails."""
        for name in self.rules.of_kind(*JUDGED):
            if not self.rules.filters or not batch.num_rows:
                continue
            documents = Documents(as_text(batch.column(name)))
            reason = np.full(len(documents), -1, np.int16)
            verdicts = []
            for index, one in enumerate(self.rules.filters):
                verdict = one.judge(documents)
                verdicts.append(verdict)
                reason[(verdict.rule >= 0) & (reason < 0)] = index
            for index, (one, verdict) in enumerate(zip(self.rules.filters, verdicts, strict=True)):
                self.drop(batch, reason == index, one.name(), verdict=verdict, rules=one.rules())
            batch = batch.filter(pa.array(reason < 0))
        return batch

    def scrub(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Take out private data, and note by how many bytes and words that makes the texts shorter."""
        scrubbed = without_private(batch, self.rules, self.scrubbed)
        names = self.rules.of_kind(*READABLE)
        if self.rules.scrubbers and names and batch.num_rows:
            changed = pc.not_equal(joined_texts(batch, names), joined_texts(scrubbed, names))
            before, after = (_amounts(rows.filter(changed), names).sum(axis=1) for rows in (batch, scrubbed))
            self.taken_out[:] = [own + int(more) for own, more in zip(self.taken_out, before - after, strict=True)]
        return scrubbed

    def fingerprint(self, batch: pa.RecordBatch) -> None:
        """Note hashes and sketches of the texts, as far as they are needed."""
        rules = self.rules
        if not rules.is_hashed and not rules.is_sketched:
            return
        texts = joined_texts(batch, rules.of_kind(*READABLE))
        if rules.is_hashed:
            self.hashes.append(text_hashes(texts).view(np.uint64).reshape(-1, 2))
        if rules.is_sketched:
            self.sketches.append(sketch(*text_buffers(texts))[0])

    def keep(self, batch: pa.RecordBatch, mask: pa.Array, reason: str) -> pa.RecordBatch:
        """The rows where `mask` is True; the others are dropped for a reason."""
        gone = ~np.asarray(mask.to_numpy(zero_copy_only=False), dtype=bool)
        self.drop(batch, gone, reason)
        return batch.filter(mask) if gone.any() else batch

    def drop(
        self,
        batch: pa.RecordBatch,
        gone: NDArray[np.bool_],
        reason: str,
        *,
        verdict: Verdict | None = None,
        rules: tuple[str, ...] = (),
    ) -> None:
        """Count the rows that go, and write down which and why."""
        counts = self.losses.setdefault(reason, [0, 0, 0])
        by_rule = self.by_rule.setdefault(reason, {}) if verdict is not None else {}
        by_rule |= {rule: [0, 0, 0] for rule in rules if rule not in by_rule}
        places = np.flatnonzero(gone)
        if not len(places):
            return
        rows = batch.take(pa.array(places))
        names = self.rules.of_kind(*READABLE)
        lost = np.concatenate([np.ones((1, len(places)), np.int64), _amounts(rows, names)])
        _add(counts, lost)
        files = pa.array([self.unit.pieces[self.piece].file] * len(places), pa.string())
        measured: dict[str, Any] = {}
        if verdict is not None:
            failed = verdict.rule[places]
            for index, rule in enumerate(rules):
                _add(by_rule[rule], lost[:, failed == index])
            measured = {
                "rule": pa.array([rules[index] for index in failed], pa.string()),
                "value": pa.array(verdict.value[places], from_pandas=True),
                "threshold": pa.array(verdict.threshold[places], from_pandas=True),
            }
        self.drops.write(drop_batch(rows.column("id"), reason, file=files, line=rows.column(LINE), **measured))


def _amounts(rows: pa.RecordBatch, names: list[str]) -> NDArray[np.int64]:
    """(2, N) bytes and words of the named columns of each row."""
    words = count_words(*text_buffers(joined_texts(rows, names))) if names else np.zeros(rows.num_rows, np.int64)
    return np.stack([text_bytes(rows, names), words])


def _add(counts: list[int], lost: NDArray[np.int64]) -> None:
    """Add (3, K) rows, bytes and words to their sums."""
    counts[:] = [count + int(more) for count, more in zip(counts, lost.sum(axis=1), strict=True)]


def _joined(parts: list[NDArray[Any]], empty: tuple[int, ...], dtype: Any) -> NDArray[Any]:
    return np.concatenate(parts) if parts else np.zeros(empty, dtype)
