"""Look every row up in the test splits of labelled datasets, unit by unit."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bmtool.contracts.kinds import READABLE
from bmtool.data.dataset import open_dataset
from bmtool.data.examples.labelled import task_of
from bmtool.data.passes.decide import Loss
from bmtool.data.passes.reasons import CONTAMINATED
from bmtool.data.passes.row_steps import joined_texts
from bmtool.data.passes.unit_pass import ROWS
from bmtool.data.passes.workers import num_workers, run_tasks
from bmtool.data.similarity.contamination import RULES, Contamination, TestRows
from bmtool.data.storage import read_stream
from bmtool.data.text.documents import text_buffers
from bmtool.errors import MissingInputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from bmtool.config.references import Reference
    from bmtool.contracts import Job
    from bmtool.data.passes.decide import Decisions, Rows
    from bmtool.data.passes.units import RowRules
    from bmtool.data.passes.workers import Tick


@dataclass(frozen=True)
class LookupTask:
    """What a worker needs to know."""

    unit: Path
    columns: list[str]
    keep: bytes
    """packed bits, one a row"""
    num_rows: int
    tests: tuple[tuple[str, Path], ...]
    """(name, folder) of the datasets with test splits"""


@dataclass(frozen=True)
class Found:
    """The rows of a unit that hold a test row. H hits."""

    rows: NDArray[np.int64]
    """(H,) their numbers in the unit"""
    sets: list[str]
    """H names of test sets"""
    ids: list[str]
    """H ids of test rows"""
    rules: NDArray[np.uint8]
    share: NDArray[np.float64]


def drop_contaminated(
    datasets: Sequence[Reference], rows: Rows, decisions: Decisions, rules: RowRules, job: Job
) -> None:
    """Let every row go that gives away a test row of another dataset; count them by dataset.

    Raises:
        MissingInputError: a dataset has no test split.
    """
    # Of a path the last part: the rest is another one on another machine.
    tests = tuple(
        (one.value.rstrip("/").rpartition("/")[2], job.inputs[f"decontaminate:{index}"].folder)
        for index, one in enumerate(datasets)
    )
    for name, folder in tests:
        if "test" not in open_dataset(folder).splits:
            raise MissingInputError(
                f"decontaminate: '{name}' has no test split. Give it one, as in split: {{test: 0.1}}"
            )
    names = rules.of_kind(*READABLE)
    tasks = [
        LookupTask(unit.folder, names, np.packbits(decisions.keep[unit.rows]).tobytes(), unit.num_rows, tests)
        for unit in rows.units
    ]
    size = sum((task.unit / ROWS).stat().st_size for task in tasks)
    workers, _ = num_workers(job.runtime.workers, size)
    found: list[Found] = []
    with job.console.progress("looking test rows up", rows.num_rows) as progress:
        found.extend(
            run_tasks(look_up, tasks, workers=min(workers, len(tasks)), stop=job.stop, advance=progress.advance)
        )
    counts = Counter({name: 0 for name, _ in tests})
    for one in found:
        counts.update(one.sets)
    decisions.facts["contaminated"] = dict(counts)
    decisions.lose(_loss(rows, found))


def _loss(rows: Rows, found: Sequence[Found]) -> Loss:
    numbers = [one.rows + unit.start for unit, one in zip(rows.units, found, strict=True)]
    return Loss(
        CONTAMINATED,
        np.concatenate([np.zeros(0, np.int64), *numbers]),
        kept_ids=[row for one in found for row in one.ids],
        similarity=np.concatenate([np.zeros(0), *(one.share for one in found)]),
        rule=[
            f"{name}: {RULES[rule]}" for one in found for name, rule in zip(one.sets, one.rules.tolist(), strict=True)
        ],
    )


@lru_cache(maxsize=1)
def _known(tests: tuple[tuple[str, Path], ...]) -> Contamination:
    return Contamination.of(_test_rows(tests))


def _test_rows(tests: tuple[tuple[str, Path], ...]) -> Iterator[TestRows]:
    for name, folder in tests:
        dataset = open_dataset(folder)
        columns = [column for column, kind in task_of(dataset).columns.items() if kind in READABLE]
        for batch in dataset["test"].batches():
            for column in columns:
                yield TestRows(name, joined_texts(batch, [column]), batch.column("id"))


def look_up(task: LookupTask, tick: Tick) -> Found:
    """Look the rows of a unit up that are still kept."""
    known = _known(task.tests)
    keep = np.unpackbits(np.frombuffer(task.keep, np.uint8), count=task.num_rows).astype(bool)
    rows, rules, share = [np.zeros(0, np.int64)], [np.zeros(0, np.uint8)], [np.zeros(0)]
    sets: list[str] = []
    ids: list[str] = []
    start = 0
    for batch in read_stream(task.unit / ROWS):
        tick(batch.num_rows)
        places = np.flatnonzero(keep[start : start + batch.num_rows])
        hits = known.hits(*text_buffers(joined_texts(batch.take(pa.array(places)), task.columns)))
        mine = np.flatnonzero(hits.row >= 0)
        rows.append(places[mine] + start)
        sets += [known.names[index] for index in hits.test_set[mine].tolist()]
        rules.append(hits.rule[mine])
        share.append(hits.share[mine].astype(np.float64))
        ids += pc.take(known.ids, pa.array(hits.row[mine])).to_pylist()
        start += batch.num_rows
    return Found(np.concatenate(rows), sets, ids, np.concatenate(rules), np.concatenate(share))
