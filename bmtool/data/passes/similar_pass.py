"""Looking for similar rows as work for a worker: it has compiled code loaded that the run itself needs for nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bmtool.data.passes.clock import Clock
from bmtool.data.passes.decide import Rows
from bmtool.data.passes.nearness import drop_similar, look_for_similar, measure_overlap, measure_similar
from bmtool.data.passes.workers import num_idle, run_one, run_tasks

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from numpy.typing import NDArray

    from bmtool.contracts import Job
    from bmtool.data.passes.collected import KeptUnit
    from bmtool.data.passes.decide import Decisions
    from bmtool.data.passes.units import RowRules
    from bmtool.data.passes.workers import Tick
    from bmtool.data.similarity.similar import Candidates, Measured
    from bmtool.deduplicators.near import Near


#: Pairs whose texts are worth handing to another worker: a few hundredths of a second.
SHARE_PAIRS = 2048


@dataclass(frozen=True)
class SimilarTask:
    """What a worker needs to know."""

    near: Near | None
    units: Sequence[KeptUnit]
    decisions: Decisions
    rules: RowRules
    job: Job


@dataclass(frozen=True)
class MeasureTask:
    """Some pairs of rows that may be similar."""

    near: Near
    units: Sequence[KeptUnit]
    rules: RowRules
    job: Job
    pairs: tuple[NDArray[Any], NDArray[Any]]


@dataclass(frozen=True)
class DropTask:
    """All pairs of rows that may be similar, with how similar they are."""

    similar: SimilarTask
    found: Measured


def _near(task: SimilarTask) -> Near:
    if task.near is None:
        raise AssertionError("similar rows go only where it is said when rows are similar")
    return task.near


def without_similar(task: SimilarTask) -> tuple[Decisions, float]:
    """The decisions, after every row has gone that is similar to one that stays; and the CPU seconds that it took.

    One worker looks for pairs and draws the conclusions; their texts, most of the work, are measured by all that wait.
    """
    stop = task.job.stop
    found, first_seconds = run_one(candidates_of, task, stop=stop, advance=_quietly)
    first, second = found.in_doubt()
    shares = max(1, min(num_idle(), -(-len(first) // SHARE_PAIRS)))
    parts = [
        MeasureTask(_near(task), task.units, task.rules, task.job, pairs)
        for pairs in zip(np.array_split(first, shares), np.array_split(second, shares), strict=True)
    ]
    if shares == 1:
        exact = [run_one(measured_of, parts[0], stop=stop, advance=_quietly)]
    else:
        exact = list(run_tasks(measured_of, parts, workers=shares, stop=stop, advance=_quietly))
    drop = DropTask(task, found.measured(np.concatenate([similar for similar, _ in exact])))
    decisions, last_seconds = run_one(decisions_of, drop, stop=stop, advance=_quietly)
    return decisions, first_seconds + sum(seconds for _, seconds in exact) + last_seconds


def _quietly(amount: int) -> None:
    del amount


def candidates_of(task: SimilarTask, tick: Tick) -> tuple[Candidates, float]:
    """See `look_for_similar`; and the CPU seconds that it took."""
    tick(0)
    with (clock := Clock()).step("near"):
        found = look_for_similar(_near(task), Rows(task.units), task.decisions, task.rules, task.job)
    return found, clock.seconds["near"]


def measured_of(task: MeasureTask, tick: Tick) -> tuple[NDArray[np.float32], float]:
    """See `measure_similar`; and the CPU seconds that it took."""
    tick(0)
    with (clock := Clock()).step("near"):
        similar = measure_similar(task.near, Rows(task.units), task.rules, task.job, task.pairs)
    return similar, clock.seconds["near"]


def decisions_of(task: DropTask, tick: Tick) -> tuple[Decisions, float]:
    """See `drop_similar`; and the CPU seconds that it took."""
    tick(0)
    similar = task.similar
    rows = Rows(similar.units)
    with (clock := Clock()).step("near"):
        drop_similar(_near(similar), rows, similar.decisions, similar.rules, similar.job, found=task.found)
    return similar.decisions, clock.seconds["near"]


def find_overlap(task: SimilarTask, tick: Tick) -> tuple[dict[str, Any] | None, list[str]]:
    """How many rows of validation and test have a similar row in train (see `measure_overlap`)."""
    tick(0)
    return measure_overlap(task.near, Rows(task.units), task.decisions, task.rules, task.job)
