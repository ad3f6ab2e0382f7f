"""Everything that needs all rows at once: copies, what is near a test set, splits, the draw."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bmtool.artifacts.faults import fault
from bmtool.data.passes.decide import Decisions, Loss, Rows, exact_copies, split_rows
from bmtool.data.passes.nearness import report_conflicts, top_copies
from bmtool.data.passes.origins import report_origins
from bmtool.data.passes.publish import draw
from bmtool.data.passes.reasons import DUPLICATE
from bmtool.data.passes.similar_pass import SimilarTask, without_similar

if TYPE_CHECKING:
    from bmtool.contracts import Job
    from bmtool.data.passes.collected import Collected
    from bmtool.data.passes.units import RowRules
    from bmtool.stages.prepare import Config


def decide_all(config: Config, rules: RowRules, collected: Collected, job: Job) -> Decisions:
    """Which rows stay, each with its split; the reasons of the others are counted."""
    rows = Rows(collected.units)
    decisions = Decisions(np.ones(rows.num_rows, bool))
    if config.is_exact:
        gone, kept = exact_copies(collected.units, rows.num_rows)
        decisions.lose(Loss(DUPLICATE, gone, kept))
    if config.decontaminate:  # before similar rows go, each of which goes for one that stays
        from bmtool.data.passes.contaminated import drop_contaminated

        drop_contaminated(config.decontaminate, rows, decisions, rules, job)
    if config.near is not None:
        decisions, seconds = without_similar(SimilarTask(config.near, collected.units, decisions, rules, job))
        collected.seconds.update({"near": seconds})
        collected.worked_bytes["near"] += collected.totals["bytes"] - sum(lost[1] for lost in collected.losses.values())
    report_conflicts(rows, decisions, rules)
    decisions.facts["top_copies"] = top_copies(rows, decisions)
    split = config.split
    split_rows(
        rows,
        decisions,
        seed=job.seed,
        validation=split.validation,
        test=split.test,
        group=split.group,
        time=split.time,
    )
    if config.sample is not None:
        draw(rules, collected, decisions, config.sample.per_label(), seed=config.sample.seed)
    decisions.facts |= report_origins(rows, decisions.keep, rules)
    fault("prepare:decided")
    return decisions
