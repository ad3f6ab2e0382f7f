"""Judge a dataset by its limits, from recorded numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bmtool.contracts import GateResult
from bmtool.data.passes.reasons import ASKED_FOR

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bmtool.data.settings import Limits


def judge_limits(limits: Limits, summary: Mapping[str, Any]) -> list[GateResult]:
    """A result for each limit that is set."""
    return list(_judge(limits, summary))


def _judge(limits: Limits, summary: Mapping[str, Any]) -> Iterator[GateResult]:
    ledger = summary["ledger"]
    if limits.max_rejected is not None:
        text = f"{summary['rejected']:,} of {ledger['rows_in']:,} rows rejected"
        yield _at_most("max_rejected", summary["rejected"], ledger["rows_in"], limits.max_rejected, text)
    if limits.min_rows is not None:
        text = f"{ledger['rows_out']:,} rows, at least {limits.min_rows:,} wanted"
        yield GateResult("min_rows", ledger["rows_out"] >= limits.min_rows, text)
    readable = ledger["rows_in"] - summary["rejected"]
    if limits.max_dropped is not None:
        dropped = readable - ledger["rows_out"] - sum(ledger["dropped"].get(reason, 0) for reason in ASKED_FOR)
        text = f"{dropped:,} of {readable:,} readable rows dropped"
        yield _at_most("max_dropped", dropped, readable, limits.max_dropped, text)
    for rule, share in limits.max_dropped_by.items():
        yield _by_rule(rule, share, summary, readable)
    if limits.max_overlap is not None:
        yield _overlap(limits.max_overlap, summary)


def _by_rule(rule: str, share: float, summary: Mapping[str, Any], readable: int) -> GateResult:
    reason, _, part = rule.partition(".")
    counts = summary["by_rule"].get(reason, {}) if part else summary["ledger"]["dropped"]
    dropped = counts.get(part or reason, 0)
    text = f"{dropped:,} of {readable:,} readable rows dropped by {rule}"
    return _at_most(f"max_dropped_by.{rule}", dropped, readable, share, text)


def _overlap(most: float, summary: Mapping[str, Any]) -> GateResult:
    overlap = summary["overlap"]
    if overlap is None:
        return GateResult("max_overlap", passed=False, message="overlap wasn't measured: nothing is held out")
    rows, similar, edited = (sum(one[name] for one in overlap.values()) for name in ("rows", "similar", "edited"))
    text = (
        f"of {rows:,} rows of {' and '.join(overlap)} {similar:,} have a similar row in train, "
        f"{edited:,} one that differs in a word"
    )
    return _at_most("max_overlap", similar + edited, rows, most, text)


def _at_most(name: str, part: int, whole: int, most: float, text: str) -> GateResult:
    share = part / max(whole, 1)
    return GateResult(name, share <= most, f"{text} ({share:.2%}), at most {most:.2%} allowed")
