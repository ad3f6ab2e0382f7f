"""`bmtool prepare --sample 1%`: what each rule would drop, with examples and what it would cost. Nothing is written."""

from __future__ import annotations

import json
import math
import shutil
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from bmtool.config.units import Ratio
from bmtool.errors import BmtoolError, ConfigError, did_you_mean
from bmtool.report.blocks import Cell, Table
from bmtool.report.tables import percent, plain, printable, show
from bmtool.runner.crash import as_error
from bmtool.runner.pipeline import load_pipeline

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bmtool.console import Console
    from bmtool.data.preview import Example, Preview, RuleSeen
    from bmtool.runner.pipeline import Pipeline

#: Characters of an example's text that are shown.
TEXT_CHARS = 80


#: What the columns of the table of rules mean.
RULES = "drops: first fail this rule. fails: whatever other rules say. of all: about so many of all rows.\n"


@dataclass(frozen=True)
class Request:
    """What the command line asked for."""

    file: Path
    dataset: str | None
    sample: str
    """As it was typed: `1%`, `0.01`"""
    overrides: Sequence[str] = ()
    other_flags: Sequence[str] = ()
    """Flags that were given and that a preview has no use for"""
    as_json: bool = False


@dataclass(frozen=True)
class _Result:
    dataset: str
    share: float
    seen: Preview
    workers: int
    workers_reason: str

    @property
    def projected(self) -> dict[str, float]:
        return self.seen.projected()


def preview(request: Request, console: Console) -> int:
    """Look at a sample of each dataset, print what was seen, return the exit code."""
    results: list[_Result] = []
    error: BmtoolError | None = None
    try:
        _preview(request, console, results)
    except (Exception, KeyboardInterrupt) as problem:  # noqa: BLE001  # every end of a command has a code and a document
        error = as_error(problem)
    code = error.exit_code if error else 0
    if request.as_json:
        document = {
            "command": "prepare",
            "exit_code": code,
            "results": [_plain(result) for result in results],
            "error": str(error) if error else None,
        }
        print(json.dumps(document, ensure_ascii=False))  # noqa: T201  # the result
    if error:
        console.error(str(error))
    return code


def _preview(request: Request, console: Console, results: list[_Result]) -> None:
    if request.other_flags:
        flags = " and ".join(request.other_flags)
        raise ConfigError(f"--sample looks at rows and makes nothing, so that {flags} can't be with it. Leave one out")
    share = _share(request.sample)
    pipeline = load_pipeline(request.file, request.overrides)
    for number, name in enumerate(_names(pipeline, request.dataset)):
        results.append(_look(pipeline, name, share, console))
        _warn(results[-1], console)
        if not request.as_json:
            print(("\n" if number else "") + _text(results[-1]))  # noqa: T201  # the result
            sys.stdout.flush()


def _share(text: str) -> float:
    """`1%` and `0.01` as 0.01.

    Raises:
        ConfigError: it is no share, or none of the rows.
    """
    try:
        given: str | float = float(text)
    except ValueError:
        given = text
    try:
        share = TypeAdapter(Ratio).validate_python(given)
    except ValidationError:
        share = 0.0
    if not share > 0:
        raise ConfigError(f"--sample {text}: expected a share of the rows above none and up to all, such as 1% or 0.01")
    return share


def _names(pipeline: Pipeline, dataset: str | None) -> list[str]:
    known = list(pipeline.prepare)
    if not known:
        raise ConfigError(f"{pipeline.file}: there is no section 'prepare'")
    if dataset is not None and dataset not in known:
        hint = did_you_mean(dataset, known)
        raise ConfigError(
            f"{pipeline.file}: there is no dataset '{dataset}' under 'prepare'.{hint} Known: {', '.join(known)}"
        )
    return [dataset] if dataset is not None else known


def _look(pipeline: Pipeline, name: str, share: float, console: Console) -> _Result:
    from bmtool.data.preview import preview as look
    from bmtool.data.workers import num_workers
    from bmtool.stages.prepare import row_rules

    rules = row_rules(pipeline.prepare[name], {})
    with console.progress(f"looking at {name}") as progress:
        seen = look(rules, share, advance=progress.advance)
    size = sum(path.stat().st_size for source in rules.sources for _, path in source.files())
    return _Result(name, share, seen, *num_workers(pipeline.runtime.workers, size))


def _warn(result: _Result, console: Console) -> None:
    seen = result.seen
    if not seen.rows:
        where = f"{_percent(result.share)} of {seen.drawn_from:,} rows"
        console.warn(f"{result.dataset}: a sample of {where} holds none. Take a larger share")
    for rule in seen.rules:
        if rule.remark(seen.judged) == "fails nearly all":
            counts = f"{rule.fails:,} of {seen.judged:,} rows"
            console.warn(f"{result.dataset}: {_name(rule)} fails {counts} ({percent(rule.fails, seen.judged)})")


def _name(rule: RuleSeen) -> str:
    return rule.filter if rule.rule == rule.filter else f"{rule.filter}.{rule.rule}"


def _percent(share: float) -> str:
    return f"{100 * share:.6g} %"


# ---------------------------------------------------------------- one JSON document


def _plain(result: _Result) -> dict[str, Any]:
    seen = result.seen
    return {
        "stage": "prepare",
        "dataset": result.dataset,
        "status": "preview",
        "sample": result.share,
        "summary": {
            "rows_in": seen.rows_in,
            "rejected": dict(seen.rejected),
            "not_sampled": seen.not_sampled,
            "drawn_from": seen.drawn_from,
            "rows": seen.rows,
            "lost": seen.lost,
            "kept": seen.kept,
            "kept_of_all": seen.of_all(seen.kept),
            "rules": [_plain_rule(rule, seen) for rule in seen.rules],
            "scrubbed": dict(seen.scrubbed),
            "cpu_seconds": {step: round(seconds, 4) for step, seconds in seen.seconds.items()},
            "cpu_seconds_of_all": {step: round(seconds, 4) for step, seconds in result.projected.items()},
            "workers": result.workers,
            "seconds_of_all": round(sum(result.projected.values()) / result.workers, 4),
        },
    }


def _plain_rule(rule: RuleSeen, seen: Preview) -> dict[str, Any]:
    return {
        "filter": rule.filter,
        "rule": rule.rule,
        "drops": rule.drops,
        "drops_of_all": seen.of_all(rule.drops),
        "fails": rule.fails,
        "judged": seen.judged,
        "remark": rule.remark(seen.judged),
        "examples": [
            {
                "id": example.id,
                "file": printable(example.file),
                "line": example.line,
                "value": _finite(example.value),
                "threshold": _finite(example.threshold),
                "text": _shown(example),
            }
            for example in rule.examples
        ],
    }


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


def _shown(example: Example) -> str:
    """The start of an example's text, on one line and without characters that could steer a terminal."""
    return printable(example.text[: 4 * TEXT_CHARS]).strip()[:TEXT_CHARS]


# ---------------------------------------------------------------- tables


def _text(result: _Result) -> str:
    seen = result.seen
    head = f"{result.dataset}: {_percent(result.share)} of the rows are {seen.rows:,} of {seen.drawn_from:,}"
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


def _steps(result: _Result) -> Table:
    seen = result.seen
    rows: list[list[Cell]] = [["in the sample", seen.rows, None, None, seen.of_all(seen.rows)]]
    left = seen.rows
    for reason, count in seen.lost.items():
        share = percent(count, left)
        left -= count
        rows.append([reason, left, count, share, seen.of_all(left)])
    return Table(["step", "rows left", "lost", "share", "of all, about"], rows)


def _rules(result: _Result) -> Table:
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


def _examples(result: _Result, width: int) -> list[str]:
    """The first rows that fail each rule, below its name."""
    shown = [(rule, example) for rule in result.seen.rules for example in rule.examples]
    rows: list[list[Cell]] = [
        [f"  {_measured(example)}", f"{example.file}:{example.line}", _shown(example)] for _, example in shown
    ]
    if not rows:
        return []
    lines = plain(Table(["measured", "where", "text"], rows), width).splitlines()
    parts, before = lines[:2], None
    for (rule, _), line in zip(shown, lines[2:], strict=True):
        if rule is not before:
            parts.append(_name(rule))
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


def _cost(result: _Result) -> Table:
    seconds, projected = result.seen.seconds, result.projected
    rows: list[list[Cell]] = [[step, f"{spent:.2f}", f"{projected[step]:.2f}"] for step, spent in seconds.items()]
    rows.append(["all steps", f"{sum(seconds.values()):.2f}", f"{sum(projected.values()):.2f}"])
    return Table(["step", "CPU seconds", "for all rows"], rows, strong=len(rows) - 1)


def _last_lines(result: _Result) -> str:
    total = sum(result.projected.values())
    workers = f"{result.workers} worker{'s' if result.workers > 1 else ''}"
    return (
        f"All rows would take about {total / result.workers:,.1f} s with {workers} ({result.workers_reason}).\n"
        "Not judged: copies, contamination, splits, the tokenizer; a sample can't tell.\n"
    )
