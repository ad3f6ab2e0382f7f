"""What `bmtool prepare --sample` prints: tables that fit the terminal."""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bmtool.report.blocks import Cell, Table
from bmtool.report.tables import percent, plain, printable, show

if TYPE_CHECKING:
    from bmtool.data.passes.preview import Example, Preview, RuleSeen

#: Characters of an example's text that are shown.
TEXT_CHARS = 80

#: What the columns of the table of rules mean.
RULES = "drops: first fail this rule. fails: whatever other rules say. of all: about so many of all rows.\n"


@dataclass(frozen=True)
class Result:
    """What was seen of one dataset."""

    dataset: str
    share: float
    seen: Preview
    workers: int
    workers_reason: str

    @property
    def projected(self) -> dict[str, float]:
        """CPU seconds by step for all rows."""
        return self.seen.projected()


def as_text(result: Result) -> str:
    """All tables of one dataset; on a terminal no line is wider than that."""
    seen = result.seen
    head = f"{result.dataset}: {share_text(result.share)} of the rows are {seen.rows:,} of {seen.drawn_from:,}"
    lines = [printable(head)]
    if seen.rejected:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in seen.rejected.most_common())
        lines.append(printable(f"{seen.rejected.total():,} of {seen.rows_in:,} rows can't be read: {reasons}"))
    width = shutil.get_terminal_size((0, 0)).columns
    parts = ["\n".join(lines) + "\n", plain(_steps(result), width)]
    if seen.rules:
        parts += [plain(_rules(result), width) + RULES, *_examples(result, width)]
    if seen.scrubbed:
        rows: list[list[Cell]] = [[name, count, seen.of_all(count)] for name, count in seen.scrubbed.items()]
        parts.append(plain(Table(["private data", "values", "of all, about"], rows), width))
    parts += [plain(_cost(result), width), _last_lines(result)]
    return "\n".join(parts).rstrip("\n")


def _steps(result: Result) -> Table:
    seen = result.seen
    rows: list[list[Cell]] = [["in the sample", seen.rows, None, None, seen.of_all(seen.rows)]]
    left = seen.rows
    for reason, count in seen.lost.items():
        share = percent(count, left)
        left -= count
        rows.append([reason, left, count, share, seen.of_all(left)])
    return Table(["step", "rows left", "lost", "share", "of all, about"], rows)


def _rules(result: Result) -> Table:
    """Each filter, and below it its rules."""
    seen, before = result.seen, ""
    rows: list[list[Cell]] = []
    for rule in seen.rules:
        if rule.filter != before:
            before, lost = rule.filter, seen.lost[rule.filter]
            rows.append([rule.filter, lost, percent(lost, seen.judged), seen.of_all(lost), None, "", ""])
        drops, fails = percent(rule.drops, seen.judged), percent(rule.fails, seen.judged)
        counts: list[Cell] = [rule.drops, drops, seen.of_all(rule.drops), rule.fails, fails]
        rows.append([f"  {rule.rule}", *counts, rule.remark(seen.judged)])
    return Table(["rule", "drops", "share", "of all", "fails", "share", ""], rows)


def _examples(result: Result, width: int) -> list[str]:
    """The first rows that fail each rule, below its name."""
    every = [(rule, example) for rule in result.seen.rules for example in rule.examples]
    rows: list[list[Cell]] = [
        [f"  {_measured(example)}", f"{example.file}:{example.line}", shown(example)] for _, example in every
    ]
    if not rows:
        return []
    lines = plain(Table(["measured", "where", "text"], rows), width).splitlines()
    parts, before = lines[:2], None
    for (rule, _), line in zip(every, lines[2:], strict=True):
        if rule is not before:
            parts.append(rule_name(rule))
        parts.append(line)
        before = rule
    return ["\n".join(parts) + "\n"]


def _measured(example: Example) -> str:
    """`31 < 50`: what was measured against the threshold; empty where nothing was."""
    value, threshold = example.value, example.threshold
    if math.isnan(value) or math.isnan(threshold):
        return ""
    sign = "<" if value < threshold else ">" if value > threshold else "="
    return f"{_number(value)} {sign} {_number(threshold)}"


def _number(value: float) -> str:
    return show(int(value) if math.isfinite(value) and value.is_integer() else value)


def _cost(result: Result) -> Table:
    seconds, projected = result.seen.seconds, result.projected
    rows: list[list[Cell]] = [[step, f"{spent:.2f}", f"{projected[step]:.2f}"] for step, spent in seconds.items()]
    rows.append(["all steps", f"{sum(seconds.values()):.2f}", f"{sum(projected.values()):.2f}"])
    return Table(["step", "CPU seconds", "for all rows"], rows, strong=len(rows) - 1)


def _last_lines(result: Result) -> str:
    total = sum(result.projected.values())
    workers = f"{result.workers} worker{'s' if result.workers > 1 else ''}"
    return (
        f"All rows would take about {total / result.workers:,.1f} s with {workers} ({result.workers_reason}).\n"
        "A small sample overstates it: filters remember the words they saw, and here they saw few.\n"
        "Not judged: copies, contamination, splits, the tokenizer; a sample can't tell.\n"
    )


def rule_name(rule: RuleSeen) -> str:
    """`c4.min_num_sentences`, as under `limits`."""
    return rule.filter if rule.rule == rule.filter else f"{rule.filter}.{rule.rule}"


def share_text(share: float) -> str:
    """`1 %`."""
    return f"{100 * share:.6g} %"


def shown(example: Example) -> str:
    """The start of an example's text, on one line and without characters that could steer a terminal."""
    return printable(example.text[: 4 * TEXT_CHARS]).strip()[:TEXT_CHARS]
