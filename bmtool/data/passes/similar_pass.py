"""Looking for similar rows as work for a worker: it has compiled code loaded that the run itself needs for nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bmtool.data.passes.decide import Rows
from bmtool.data.passes.nearness import drop_similar, measure_overlap

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from bmtool.contracts import Job
    from bmtool.data.passes.collect import KeptUnit
    from bmtool.data.passes.decide import Decisions
    from bmtool.data.passes.units import RowRules
    from bmtool.data.passes.workers import Tick
    from bmtool.deduplicators.near import Near


@dataclass(frozen=True)
class SimilarTask:
    """What a worker needs to know."""

    near: Near | None
    units: Sequence[KeptUnit]
    decisions: Decisions
    rules: RowRules
    job: Job


def without_similar(task: SimilarTask, tick: Tick) -> Decisions:
    """The decisions, after every row has gone that is similar to one that stays."""
    if task.near is None:
        raise AssertionError("similar rows go only where it is said when rows are similar")
    tick(0)
    drop_similar(task.near, Rows(task.units), task.decisions, task.rules, task.job)
    return task.decisions


def find_overlap(task: SimilarTask, tick: Tick) -> tuple[dict[str, Any] | None, list[str]]:
    """How many rows of validation and test have a similar row in train (see `measure_overlap`)."""
    tick(0)
    return measure_overlap(task.near, Rows(task.units), task.decisions, task.rules, task.job)
