"""What each step of `prepare` took: rows, bytes, words and tokens by step and by rule, and CPU time."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bmtool.data.passes.summary import NEARLY_ALL
from bmtool.report.blocks import Block, Cell, Note, Section, Table
from bmtool.report.counts import by_count, present
from bmtool.report.tables import percent, printable

if TYPE_CHECKING:
    from collections.abc import Mapping

#: The steps that are timed, in their order and in words.
STEPS = {
    "read": "reading: unpacking, parsing, checking",
    "ids": "ids from the rows' content",
    "clean": "cleaners",
    "count": "counting bytes and words",
    "filter": "filters",
    "scrub": "scrubbers",
    "fingerprint": "hashes and MinHash, for copies",
    "keep": "keeping rows for later runs",
    "near": "finding similar rows",
    "encode": "token ids",
    "write": "writing shards",
}


def funnel(report: Mapping[str, Any]) -> list[Block]:
    """What is left after each step."""
    steps = report.get("funnel") or []
    if not steps:
        return []
    columns = ["after", "rows", "lost", "bytes of text", "words"]
    rows: list[list[Cell]] = []
    before = None
    for step in steps:
        lost = before - step["rows"] if before is not None else None
        rows.append([printable(step["step"]), step["rows"], lost, step.get("bytes"), step.get("words")])
        before = step["rows"]
    caption = "What is left after each step, in order. The faint end of a bar is what the step took. "
    rate = report.get("tokens_per_word")
    if rate is None:
        caption += "Tokens depend on the model that will read the rows: words stand for them."
        return [Table(columns, rows, caption, bars=(1, 3, 4), is_funnel=True)]
    for row, step in zip(rows, steps, strict=True):
        row.append(step.get("tokens", step.get("estimated_tokens")))
    caption += (
        f"Tokens are counted at the last step; before it they are estimated from the words, at the {rate:.2f} tokens "
        "a word of the rows that stay: rows that go are never tokenized."
    )
    return [Table([*columns, "tokens"], rows, caption, bars=(1, 3, 4, 5), is_funnel=True)]


def rules(report: Mapping[str, Any]) -> list[Section]:
    """What each rule of each filter dropped."""
    lost = {
        printable(_name(name, rule)): one
        for name, each in present(report, "rules").items()
        for rule, one in each.items()
    }
    has_tokens = report.get("tokens_per_word") is not None
    columns = ["rule", "rows dropped", "share", *(["bytes", "words"] if lost else [])]
    columns += [*(["tokens, estimated"] if lost and has_tokens else []), ""]
    rows: list[list[Cell]] = []
    for rule, count, seen in rule_counts(report):
        one = lost.get(rule, {})
        more = [one.get(key) for key in ("bytes", "words", "estimated_tokens")[: len(columns) - 4]]
        rows.append([rule, count, percent(count, seen), *more, _remark(count, seen)])
    if not rows:
        return []
    caption = (
        "Each row is counted once, for the first rule that it fails; the share is of the rows the filter had left. "
        "`bmtool prepare FILE --sample 1%` shows rows of each rule."
    )
    return [Section("Rules of the filters", [Table(columns, rows, caption, bars=(1,))])]


def rule_counts(report: Mapping[str, Any]) -> list[tuple[str, int, int]]:
    """(filter.rule, rows dropped, rows that the filter was left with) of every rule, in order."""
    seen = report["ledger"]["rows_in"] - (report.get("rejected") or 0)
    before, order = {}, {}
    for place, step in enumerate(report.get("funnel") or []):
        before[step["step"]], order[step["step"]] = seen, place
        seen = step["rows"]
    readable = report["ledger"]["rows_in"] - (report.get("rejected") or 0)
    return [
        (printable(_name(name, rule)), count, before.get(name, readable))
        for name, each in sorted(present(report, "by_rule").items(), key=lambda one: (order.get(one[0], 0), one[0]))
        for rule, count in by_count(each)
    ]


def _name(filter_: str, rule: str) -> str:
    return f"{filter_}.{rule}" if rule != filter_ else filter_


def _remark(count: int, seen: int) -> str:
    if not count:
        return "drops nothing"
    return "drops nearly everything" if count >= NEARLY_ALL * seen else ""


def throughput(report: Mapping[str, Any]) -> list[Section]:
    """What each step took in the run that made the dataset; such a section stands on every page, whatever was done."""
    took = report.get("throughput")
    if took is None:
        return []
    if not took:
        return [Section("Throughput", [Note("All of it was kept from earlier runs: nothing was worked on again.")])]
    caption = (
        "Processor time of all workers together, and the rows' size in memory as the step got them, in the run that "
        "made this dataset, compiling left out. What an earlier run kept took none."
    )
    return [Section("Throughput", [replace(took_by_step(took), caption=caption, bars=(1,))])]


def took_by_step(took: Mapping[str, Any]) -> Table:
    """What each step took, from the manifest's `environment`."""
    order = {step: place for place, step in enumerate(STEPS)}
    rows: list[list[Cell]] = [
        [STEPS.get(step, printable(step)), one["cpu_seconds"], one["mb"], one["mb_per_second"]]
        for step, one in sorted(took.items(), key=lambda one: (order.get(one[0], len(order)), one[0]))
    ]
    return Table(["step", "CPU seconds", "MB", "MB a CPU second"], rows)
