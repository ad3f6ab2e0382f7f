"""First pass of prepare over all sources: cut them into units, have each read once, and add up what was found."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

from bmtool.artifacts.faults import fault
from bmtool.artifacts.files import fsync_file, sha256_of
from bmtool.artifacts.manifest import RESUME
from bmtool.data.kept import Shelf
from bmtool.data.passes.collected import Collected, KeptUnit
from bmtool.data.passes.cuts import Cuts
from bmtool.data.passes.few import few_units
from bmtool.data.passes.reasons import reasons_of_rows
from bmtool.data.passes.unit_pass import (
    REJECTED,
    UnitTask,
    pass_over_unit,
)
from bmtool.data.passes.units import RowRules, Unit, units_of
from bmtool.data.passes.workers import num_workers, run_tasks
from bmtool.data.readers.advice import advice
from bmtool.data.rows import missing_columns
from bmtool.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bmtool.artifacts.files import Stamp
    from bmtool.contracts import Job, Piece


#: What the funnel calls the step that takes out private data.
SCRUB = "scrub"


def shelf_of(job: Job) -> Path:
    """Where work on units is kept: beside the store, or with the run where there is none."""
    return job.cache if job.cache is not None else job.folder / RESUME / "cache"


def collect(rules: RowRules, job: Job) -> Collected:
    """Have every unit read, or take up what is kept of it.

    Raises:
        DataError: no row is left, or a file can't be read at all.
        TryAgainError, StoppedError: the run was asked to stop.
    """
    collected = Collected()
    for reason in reasons_of_rows(rules.sources, rules.labels, rules.filters):
        collected.lose(reason, [0, 0, 0])  # in the order in which they are applied: the report's funnel follows it
    collected.cleaned = dict.fromkeys((one.name() for one in rules.cleaners), 0)
    collected.scrubbed = dict.fromkeys((one.name() for one in rules.scrubbers), 0)
    for index in range(len(rules.sources)):
        collected.by_source[index] = Counter(dict.fromkeys(("rows_in", "rows", "bytes", "words"), 0))
    reading = _Reading(rules, job)
    with job.console.progress("reading rows") as progress:
        for unit, facts in reading.results(progress.advance):
            kept = KeptUnit(unit.key, unit.source, reading.shelf.path(unit.key), facts, collected.num_rows)
            collected.units.append(kept)
            _add(collected, kept)
    found = [unit for unit in collected.units if unit.key in reading.found]
    if found:
        rows = sum(int(unit.facts["totals"].get("rows_in", 0)) for unit in found)
        job.console.say(f"resumed: {rows:,} rows were read already ({len(found)} of {len(collected.units)} parts)")
    if rules.scrubbers:
        collected.losses[SCRUB] = [0, *collected.taken_out]  # a step that no row leaves, and so no reason of the ledger
    _check_columns(rules, collected, dict(reading.paths))
    _write_rejections(collected, job.folder / "rejected.jsonl")
    collected.ledger.check()
    fault("prepare:rows")
    return collected


class _Reading:
    """One reading of all sources."""

    def __init__(self, rules: RowRules, job: Job) -> None:
        self.rules, self.job = rules, job
        self.root = shelf_of(job)
        self.shelf = Shelf(self.root / "rows")
        self.paths: dict[tuple[int, str], Path] = {}
        self.found: set[str] = set()
        self.made: set[str] = set()
        """Keys of units that this run reads; two sources that hold the same file have the same"""
        self.order: list[tuple[Unit, dict[str, Any] | None]] = []

    def results(self, advance: Any) -> Iterator[tuple[Unit, dict[str, Any]]]:
        """(unit without its data, facts) of every unit, in order."""
        workers, reason = num_workers(self.job.runtime.workers, sum(one.num_bytes() for one in self.rules.sources))
        self.job.console.detail(f"{workers} worker{'s' if workers > 1 else ''}: {reason}")
        given = 0
        worked = run_tasks(pass_over_unit, self.tasks(), workers=workers, stop=self.job.stop, advance=advance)
        for facts in worked:
            while self.order[given][1] is not None:
                yield self.order[given]  # type: ignore[misc]  # just seen not to be None
                given += 1
            yield self.order[given][0], facts
            given += 1
        yield from self.order[given:]  # type: ignore[misc]  # only tasks are without facts, and all are done

    def tasks(self) -> Iterator[UnitTask]:
        """A task for each unit of which nothing is kept."""
        # A smoke run knows files by their ends alone: what is between them may be other bytes the next time.
        folder = None if self.job.is_smoke else self.root / "cuts"
        for index, source in enumerate(self.rules.sources):
            cuts = Cuts(source, folder, is_fresh=self.job.is_fresh)
            files = source.files()
            self.paths |= {(index, name): path for name, path in files}
            for unit in self.units(index, files, partial(self.pieces, index, cuts)):
                kept = None if self.job.is_fresh else self.shelf.find(unit.key)
                self.order.append((replace(unit, pieces=()), kept))
                if kept is not None:
                    self.found |= {unit.key} - self.made
                    continue
                self.made.add(unit.key)
                whole = tuple(self.filled(index, cuts, one) for one in unit.pieces)
                yield UnitTask(self.rules, replace(unit, pieces=whole), self.shelf.folder)

    def pieces(self, index: int, cuts: Cuts, name: str, path: Path) -> Iterator[Piece]:
        """The pieces of a file of a source."""
        return cuts.pieces(name, path, *self.known_by(index, name, path))

    def filled(self, index: int, cuts: Cuts, piece: Piece) -> Piece:
        """A piece as a worker needs it."""
        sha256, stamp = self.known_by(index, piece.file, piece.path)
        whole = cuts.filled(piece, sha256)
        return whole if whole.data is not None or whole.span is not None else replace(whole, stamp=stamp)

    def known_by(self, index: int, name: str, path: Path) -> tuple[str, Stamp | None]:
        """The sha256 of a source's file, and the stamp it had with it."""
        name = f"{index}/{name}" if len(self.rules.sources) > 1 else name
        return self.job.raw.get(name) or sha256_of(path), self.job.stamps.get(name)

    def units(self, index: int, files: list[tuple[str, Path]], pieces: Any) -> Iterator[Unit]:
        """The units of a source; of a smoke run one."""
        if self.rules.max_rows is None:
            return units_of(self.rules, index, files, pieces)
        return few_units(self.rules, index, files, pieces, self.rules.max_rows)


def _add(collected: Collected, unit: KeptUnit) -> None:
    facts, ledger = unit.facts, collected.ledger
    totals = Counter(facts["totals"])
    collected.totals += totals
    collected.by_source[unit.source].update(totals)
    collected.seconds.update(facts.get("seconds", {}))
    collected.worked_bytes.update(facts.get("worked_bytes", {}))
    ledger.rows_in += totals["rows_in"]
    ledger.rows_out += totals["rows"]
    for reason, counts in facts["losses"].items():
        collected.lose(reason, counts)
    for reason, count in facts["rejected_by_reason"].items():
        ledger.drop(reason, count)
    for into, counts in (
        (collected.rejected_by_reason, facts["rejected_by_reason"]),
        (collected.rejected_by_file, facts["rejected_by_file"]),
        (collected.cleaned, facts["cleaned"]),
        (collected.scrubbed, facts["scrubbed"]),
    ):
        for name, count in counts.items():
            into[name] = into.get(name, 0) + count
    collected.taken_out = [a + b for a, b in zip(collected.taken_out, facts["taken_out"], strict=True)]
    for name, rules in facts["by_rule"].items():
        own = collected.by_rule.setdefault(name, {})
        for rule, counts in rules.items():
            own[rule] = [a + b for a, b in zip(own.get(rule, [0, 0, 0]), counts, strict=True)]


def _check_columns(rules: RowRules, collected: Collected, paths: dict[tuple[int, str], Path]) -> None:
    """Refuse a file none of whose rows has a column that is asked for: that is no gap, but another name."""
    unseen: dict[tuple[int, str], set[str]] = {}
    known: dict[tuple[int, str], list[str]] = {}
    for unit in collected.units:
        for one in unit.facts["columns"]:
            if one["known"]:  # else no row could be read, and each is rejected for a reason of its own
                place = (unit.source, one["file"])
                unseen[place] = unseen.get(place, set(one["unseen"])) & set(one["unseen"])
                known[place] = known.get(place, []) + one["known"]
    for place, columns in unseen.items():
        if columns:
            mapping = rules.columns_of(place[0])
            raise missing_columns(paths[place], sorted(columns), list(dict.fromkeys(known[place])), mapping)


def _write_rejections(collected: Collected, path: Path) -> None:
    with path.open("wb") as handle:
        for unit in collected.units:
            handle.write((unit.folder / REJECTED).read_bytes())
    fsync_file(path)


def check_rows(collected: Collected) -> None:
    """Refuse a dataset without rows.

    Raises:
        DataError: it says where all of them went.
    """
    ledger = collected.ledger
    if ledger.rows_out == 0:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in ledger.dropped.items() if count)
        text = f"{ledger.rows_in:,} came in; dropped: {reasons}" if ledger.rows_in else "the sources hold none"
        raise DataError(f"no row is left: {text}{_first_rejection(collected)}")


def _first_rejection(collected: Collected) -> str:
    """Where no row could be read, what is wrong with the first one, and what to do about it."""
    if sum(collected.rejected_by_reason.values()) < max(collected.ledger.rows_in, 1):
        return ""
    notes = ((unit.folder / REJECTED).read_bytes() for unit in collected.units)
    first = json.loads(next(note for note in notes if note).partition(b"\n")[0])
    hint = advice(collected.rejected_by_reason)
    more = f". {hint}" if hint not in first["reason"] else ""
    return f". The first is {first['file']}, line {first['line']}: {first['reason']}{more}"
