"""Similar rows within a dataset, across its splits, and to other datasets: what follows from sketches of texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bmtool.data.decide import conflicting_labels

if TYPE_CHECKING:
    from bmtool.contracts import Job
    from bmtool.data.decide import Decisions, Rows
    from bmtool.data.units import RowRules
    from bmtool.deduplicators.near import Near


def drop_similar(near: Near, rows: Rows, decisions: Decisions, rules: RowRules, job: Job) -> None:
    raise NotImplementedError


def drop_contaminated(datasets: Any, rows: Rows, decisions: Decisions, rules: RowRules, job: Job) -> None:
    raise NotImplementedError


def measure_overlap(near: Near | None, rows: Rows, decisions: Decisions, rules: RowRules, job: Job) -> None:
    pass


def report_conflicts(rows: Rows, decisions: Decisions, rules: RowRules) -> None:
    """Note how many copies had another label than the row that stays."""
    labels = rules.of_kind("label")
    if labels and decisions.losses:
        decisions.facts["conflicting_labels"] = conflicting_labels(rows, decisions.losses, labels[0])
