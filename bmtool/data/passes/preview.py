"""What `prepare` would do to a sample of the rows: what each rule drops, with examples, and what it costs.

All files are read, since a row is drawn by its id, and the id follows from its content; everything behind that is done
to the sample alone. Nothing is written. Copies aren't looked for: a sample holds few of them.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import pyarrow as pa

from bmtool.contracts import LINE, Reading
from bmtool.contracts.kinds import JUDGED, READABLE
from bmtool.data.messages import as_text
from bmtool.data.passes.clock import Clock
from bmtool.data.passes.reasons import EMPTY, UNLISTED
from bmtool.data.passes.row_steps import clean, listed, not_empty, with_ids, without_private
from bmtool.data.passes.split import share_of_ids
from bmtool.data.passes.summary import NEARLY_ALL
from bmtool.data.passes.unit_pass import UnitPass, UnitTask
from bmtool.data.passes.units import Unit
from bmtool.data.rows import missing_columns, schema_of, text_bytes
from bmtool.data.similarity.fingerprints import sketch, text_hashes
from bmtool.data.text.documents import Documents, text_buffers
from bmtool.data.text.scrub import scrub
from bmtool.data.text.words import count_words
from bmtool.registry import SCRUBBERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from bmtool.contracts import Piece, Rejected, Scrubber, Verdict
    from bmtool.data.passes.units import RowRules

T = TypeVar("T")

MAX_EXAMPLES = 3

#: These steps are done to all rows, so that what they took is not projected.
WHOLE_STEPS = ("read", "ids")


@dataclass(frozen=True)
class Example:
    """A row that a rule would drop. The text is scrubbed by every scrubber there is, whatever the dataset's are."""

    id: str
    file: str
    line: int
    value: float
    """NaN where the rule measures nothing"""
    threshold: float
    text: str = field(repr=False)


@dataclass
class RuleSeen:
    """What one rule of a filter says of the rows in the sample."""

    filter: str
    rule: str
    drops: int = 0
    """Rows that go for it: it is the first that they fail"""
    fails: int = 0
    """Rows that fail it, whatever the other rules say"""
    examples: list[Example] = field(default_factory=list)

    def remark(self, judged: int) -> str:
        """What is odd about it, where `judged` rows were looked at; empty if nothing is."""
        if not judged:
            return ""
        if not self.fails:
            return "drops nothing"
        if self.fails >= NEARLY_ALL * judged:
            return "fails nearly all"
        return "" if self.drops else "others drop them"


@dataclass
class Preview:
    """What was seen."""

    rows_in: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    """reason -> rows of all files that can't be read"""
    not_sampled: int = 0
    """rows that the sources' own `weight` leaves out"""
    drawn_from: int = 0
    """rows that are left then"""
    rows: int = 0
    """rows of these that are in the sample"""
    lost: dict[str, int] = field(default_factory=dict)
    """reason -> rows of the sample that go for it, in the order in which reasons apply"""
    rules: list[RuleSeen] = field(default_factory=list)
    judged: int = 0
    """rows of the sample that the filters saw"""
    kept: int = 0
    """rows of the sample that stay"""
    scrubbed: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, float] = field(default_factory=dict)
    """CPU seconds by step: reading and ids of all rows, the other steps of the sample"""
    bytes_drawn_from: int = 0
    """of text, as read"""
    bytes: int = 0

    def of_all(self, count: int) -> int:
        """About how many of all rows (or values in them) so many of the sample stand for."""
        return round(count * self.drawn_from / self.rows) if self.rows else 0

    def projected(self) -> dict[str, float]:
        """CPU seconds by step for all rows: what a row costs goes with its length."""
        factor = self.bytes_drawn_from / self.bytes if self.bytes else 0.0
        return {step: seconds if step in WHOLE_STEPS else seconds * factor for step, seconds in self.seconds.items()}


def preview(rules: RowRules, share: float, *, advance: Callable[[int], None]) -> Preview:
    """Read all sources and do to a share of the rows what the first pass of `prepare` does to all of them.

    Args:
        rules: What is done to each row.
        share: Of the rows, above 0 and at most 1; which ones follows from their ids alone.
        advance: Called with the number of rows that were read since.

    Raises:
        DataError: a file can't be read at all, or lacks a column.
    """
    work = _Sampling(rules, share, advance)
    for source in range(len(rules.sources)):
        work.read_source(source)
    work.seen.seconds = work.clock.seconds
    return work.seen


class _Sampling:
    """One reading of all sources."""

    def __init__(self, rules: RowRules, share: float, advance: Callable[[int], None]) -> None:
        self.rules, self.share, self.advance = rules, share, advance
        self.clock = Clock()
        self.seen = Preview(
            lost=dict.fromkeys([EMPTY, *([UNLISTED] if rules.labels is not None else [])], 0),
            rules=[RuleSeen(one.name(), rule) for one in rules.filters for rule in one.rules()],
        )
        self.seen.lost |= dict.fromkeys((one.name() for one in rules.filters), 0)
        self.seen.scrubbed.update({one.name(): 0 for one in rules.scrubbers})
        self.hiding = all_scrubbers(rules.scrubbers)
        warm_up(rules)

    def read_source(self, index: int) -> None:
        source = self.rules.sources[index]
        for name, path in source.files():
            unseen: set[str] | None = None
            known: list[str] = []
            pieces = iter(source.pieces(name, path, ""))
            while (piece := self.next_of(pieces)) is not None:
                reading = Reading(self.rules.columns_of(index), schema_of(self.rules.kinds), self.reject)
                before = self.seen.rows_in
                self.read_piece(index, piece, reading)
                if self.seen.rows_in > before and reading.known:  # else no row could be read
                    unseen = reading.unseen if unseen is None else unseen & reading.unseen
                    known += reading.known
            if unseen:
                raise missing_columns(path, unseen, list(dict.fromkeys(known)), self.rules.columns_of(index))

    def next_of(self, parts: Iterator[T]) -> T | None:
        """The next piece or batch; None behind the last."""
        with self.clock.step("read"):
            return next(parts, None)

    def reject(self, rejected: Rejected) -> None:
        self.seen.rows_in += 1
        self.seen.rejected[rejected.reason.partition(": ")[0]] += 1
        self.advance(1)

    def read_piece(self, index: int, piece: Piece, reading: Reading) -> None:
        # Its folders are never written to: that is what `UnitPass.run` and `UnitPass.drop` do.
        steps = UnitPass(UnitTask(self.rules, Unit(index, (piece,), ""), Path()), Path(), self.advance)
        batches = self.rules.sources[index].read(piece, reading)
        while (batch := self.next_of(batches)) is not None:
            self.take(steps, batch, piece.file)

    def take(self, steps: UnitPass, batch: pa.RecordBatch, file: str) -> None:
        """Draw from one batch of rows, and do to those drawn what `UnitPass.take` does to all."""
        self.advance(batch.num_rows)
        self.seen.rows_in += batch.num_rows
        with self.clock.step("ids"):
            batch = with_ids(batch, steps.piece, steps.schema)
        batch = self.draw(batch, self.rules.sources[steps.unit.source].weight)
        if not batch.num_rows:
            return
        with self.clock.step("clean"):
            batch = clean(batch, self.rules, Counter())
        batch = self.keep(batch, not_empty(batch, self.rules), EMPTY)
        with self.clock.step("count"):
            steps.count(batch)
        if self.rules.labels is not None:
            batch = self.keep(batch, listed(batch, self.rules), UNLISTED)
        batch = self.filter(batch, file)
        with self.clock.step("scrub"):
            batch = without_private(batch, self.rules, self.seen.scrubbed)
        with self.clock.step("fingerprint"):
            steps.fingerprint(batch)
        self.seen.kept += batch.num_rows
        steps.hashes.clear()
        steps.sketches.clear()

    def draw(self, batch: pa.RecordBatch, weight: float) -> pa.RecordBatch:
        """The rows in the sample. It is drawn by the bits of ids that `weight` goes by, so the two are multiplied."""
        ids, texts = batch.column("id"), self.rules.of_kind(*READABLE)
        sizes = text_bytes(batch, texts)
        left = share_of_ids(ids, weight).to_numpy(zero_copy_only=False)
        drawn = share_of_ids(ids, weight * self.share)
        seen, mask = self.seen, drawn.to_numpy(zero_copy_only=False)
        seen.not_sampled += int((~left).sum())
        seen.drawn_from += int(left.sum())
        seen.bytes_drawn_from += int(sizes[left].sum())
        seen.rows += int(mask.sum())
        seen.bytes += int(sizes[mask].sum())
        return batch.filter(drawn)

    def keep(self, batch: pa.RecordBatch, mask: pa.Array, reason: str) -> pa.RecordBatch:
        kept = batch.filter(mask)
        self.seen.lost[reason] += batch.num_rows - kept.num_rows
        return kept

    def filter(self, batch: pa.RecordBatch, file: str) -> pa.RecordBatch:
        """Have every filter judge every row; a row goes for the first that it fails."""
        self.seen.judged += batch.num_rows
        if not batch.num_rows or not self.rules.filters:
            return batch
        gone = np.zeros(batch.num_rows, bool)
        fails = np.zeros((len(self.seen.rules), batch.num_rows), bool)
        for name in self.rules.of_kind(*JUDGED):
            documents = Documents(as_text(batch.column(name)))
            place = 0
            for one in self.rules.filters:
                with self.clock.step("filter"):
                    verdict = one.judge(documents)
                first = np.where(gone, -1, verdict.rule)
                self.seen.lost[one.name()] += int((first >= 0).sum())
                for number in range(len(one.rules())):
                    rule = self.seen.rules[place]
                    rule.drops += int((first == number).sum())
                    fails[place] |= verdict.rule == number if verdict.failed is None else verdict.failed[number]
                    self.show(rule, batch, name, file, verdict, np.flatnonzero(verdict.rule == number))
                    place += 1
                gone |= verdict.rule >= 0
        for rule, failed in zip(self.seen.rules, fails, strict=True):
            rule.fails += int(failed.sum())
        return batch.filter(pa.array(~gone))

    def show(
        self, rule: RuleSeen, batch: pa.RecordBatch, name: str, file: str, verdict: Verdict, rows: NDArray[np.int64]
    ) -> None:
        """Note the first few rows that fail a rule, and what was measured of them."""
        for row in rows[: MAX_EXAMPLES - len(rule.examples)].tolist():
            hidden = scrub(as_text(batch.column(name)[row : row + 1]), self.hiding, self.rules.scrub_key).texts
            rule.examples.append(
                Example(
                    id=batch.column("id")[row].as_py(),
                    file=file,
                    line=batch.column(LINE)[row].as_py(),
                    value=float(verdict.value[row]),
                    threshold=float(verdict.threshold[row]),
                    text=hidden[0].as_py(),
                )
            )


def all_scrubbers(own: Sequence[Scrubber]) -> list[Scrubber]:
    """A dataset's own scrubbers, and all others that there are, with their defaults."""
    names = {one.name() for one in own}
    return [*own, *(SCRUBBERS.load(name)() for name in SCRUBBERS.names() if name not in names)]


def warm_up(rules: RowRules) -> None:
    """Have everything loaded before the clock runs: on few rows that would be all that is measured."""
    texts = pa.array(["A few words."])
    for cleaner in rules.cleaners:
        cleaner.clean(texts)
    documents = Documents(texts)
    for one in rules.filters:
        one.judge(documents)
    scrub(texts, rules.scrubbers, rules.scrub_key)
    count_words(*text_buffers(texts))
    if rules.is_hashed:
        text_hashes(texts)
    if rules.is_sketched:
        sketch(*text_buffers(texts))
