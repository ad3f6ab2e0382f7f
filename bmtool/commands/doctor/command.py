"""`bmtool doctor`: what this machine gives a run, and what is wrong with it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from bmtool.commands.check import extras_of
from bmtool.commands.doctor.compute import compute
from bmtool.commands.doctor.disk import disk
from bmtool.commands.doctor.extras import extras, reporters
from bmtool.commands.doctor.system import system
from bmtool.config.shared import Runtime
from bmtool.console import json_text
from bmtool.report.tables import printable
from bmtool.runner.pipeline import load_pipeline

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bmtool.commands.doctor.finding import Finding
    from bmtool.runner.pipeline import Pipeline


def doctor(file: Path | None = None, overrides: Sequence[str] = (), *, as_json: bool = False) -> int:
    """Print a line for each thing that a run needs: ok, note or problem; the code of the first problem, or 0.

    With `file` it is about that configuration: its device, threads and processes, folder, extras.

    Raises:
        ConfigError: what is wrong with the file.
    """
    pipeline = None if file is None else load_pipeline(file, overrides)
    findings: list[Finding] = []
    for finding in _findings(pipeline):
        findings.append(finding)
        if not as_json:
            _print(finding)
    code = next((finding.exit_code for finding in findings if finding.state == "problem"), 0)
    if as_json:
        document = {"command": "doctor", "exit_code": code, "results": [asdict(finding) for finding in findings]}
        print(json_text(document))  # noqa: T201  # the result
    else:
        counts = {state: sum(finding.state == state for finding in findings) for state in ("problem", "note")}
        said = ", ".join(f"{number} {state}{'s' * (number > 1)}" for state, number in counts.items() if number)
        print(said or "nothing to mend")  # noqa: T201  # the result
    return code


def _findings(pipeline: Pipeline | None) -> Iterator[Finding]:
    runtime = Runtime() if pipeline is None else pipeline.runtime
    precisions = {
        stage: section.precision
        for stage in ("pretrain", "finetune")
        if (section := getattr(pipeline, stage, None)) is not None
    }
    yield from system()
    yield from disk(Path("runs") if pipeline is None else pipeline.output_dir)
    yield from extras(None if pipeline is None else extras_of(pipeline))
    yield from reporters(pipeline)
    yield from compute(runtime, precisions or {"": "auto"})


def _print(finding: Finding) -> None:
    print(f"{finding.state:8} {finding.topic:13} {printable(finding.text)}", flush=True)  # noqa: T201  # the result
    if finding.advice:
        print(f"{'':22} {printable(finding.advice)}", flush=True)  # noqa: T201
