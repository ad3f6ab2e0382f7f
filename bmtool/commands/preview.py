"""`bmtool prepare --sample 1%`: what each rule would drop, with examples and what it would cost. Nothing is written."""

from __future__ import annotations

import math
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from bmtool.commands.preview_text import Result, as_text, rule_name, share_text, shown
from bmtool.config.units import Ratio
from bmtool.console import json_text
from bmtool.data.readers.advice import advice
from bmtool.errors import BmtoolError, ConfigError, did_you_mean
from bmtool.report.tables import percent, printable
from bmtool.runner.crash import as_error
from bmtool.runner.pipeline import load_pipeline

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bmtool.console import Console
    from bmtool.data.passes.preview import Preview, RuleSeen
    from bmtool.runner.pipeline import Pipeline


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


def preview(request: Request, console: Console) -> int:
    """Look at a sample of each dataset, print what was seen, return the exit code."""
    results: list[Result] = []
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
        print(json_text(document))  # noqa: T201  # the result
    if error:
        console.error(str(error))
    return code


def _preview(request: Request, console: Console, results: list[Result]) -> None:
    if request.other_flags:
        flags = " and ".join(request.other_flags)
        raise ConfigError(f"--sample looks at rows and makes nothing, so that {flags} can't be with it. Leave one out")
    share = _share(request.sample)
    pipeline = load_pipeline(request.file, request.overrides, stages=("prepare",))
    for number, name in enumerate(_names(pipeline, request.dataset)):
        results.append(_look(pipeline, name, share, console))
        _warn(results[-1], console)
        if not request.as_json:
            print(("\n" if number else "") + as_text(results[-1]))  # noqa: T201  # the result
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


def _look(pipeline: Pipeline, name: str, share: float, console: Console) -> Result:
    from bmtool.data.passes.preview import preview as look
    from bmtool.data.passes.workers import num_workers
    from bmtool.stages.prepare import row_rules

    rules = row_rules(pipeline.prepare[name], {})
    for source in rules.sources:
        source.fetch(console)
    with console.progress(f"looking at {name}") as progress:
        seen = look(rules, share, advance=progress.advance)
    size = sum(path.stat().st_size for source in rules.sources for _, path in source.files())
    return Result(name, share, seen, *num_workers(pipeline.runtime.workers, size))


def _warn(result: Result, console: Console) -> None:
    seen = result.seen
    if not seen.drawn_from:
        hint = advice(seen.rejected)
        console.warn(f"{result.dataset}: no row could be read{f'. {hint}' if hint else ''}")
    elif not seen.rows:
        where = f"{share_text(result.share)} of {seen.drawn_from:,} rows"
        console.warn(f"{result.dataset}: a sample of {where} holds none. Take a larger share")
    for rule in seen.rules:
        if rule.remark(seen.judged) == "fails nearly all":
            counts = f"{rule.fails:,} of {seen.judged:,} rows"
            console.warn(f"{result.dataset}: {rule_name(rule)} fails {counts} ({percent(rule.fails, seen.judged)})")


# ---------------------------------------------------------------- one JSON document


def _plain(result: Result) -> dict[str, Any]:
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
                "text": shown(example),
            }
            for example in rule.examples
        ],
    }


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None
