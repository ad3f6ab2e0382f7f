"""The commands that make artifacts: the five stages, and `run`, which is all of them."""

from __future__ import annotations

import shlex
import sys
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from bmtool.artifacts.store import Store
from bmtool.config.references import STAGES
from bmtool.console import json_text, silence
from bmtool.errors import BmtoolError, ConfigError, MissingInputError
from bmtool.runner.apart import not_apart
from bmtool.runner.crash import as_error
from bmtool.runner.life import Options, Result, Runner, check_locked, dry_run
from bmtool.runner.pipeline import load_pipeline
from bmtool.runner.plan import Node, Planner
from bmtool.runner.splits import check_splits
from bmtool.runner.stop import StopRequest
from bmtool.runner.together import dismiss, follow, is_follower

if TYPE_CHECKING:
    from pathlib import Path

    from bmtool.console import Console
    from bmtool.runner.pipeline import Pipeline


@dataclass(frozen=True)
class Request:
    """What the command line asked for."""

    command: str
    file: Path
    stages: tuple[str, ...] = STAGES
    """Which stages; of several, those that the file has a section for."""
    dataset: str | None = None
    as_json: bool = False
    max_seconds: float | None = None
    options: Options = field(default_factory=Options)


def make(request: Request, console: Console) -> int:
    """Make what was asked for, print it, return the exit code. Of several processes the first one does."""
    if is_follower():
        return follow()
    code = _lead(request, console)
    dismiss()
    return code


def _lead(request: Request, console: Console) -> int:
    results: list[Result] = []
    error: BmtoolError | None = None
    try:
        _make(request, console, results)
    except (Exception, KeyboardInterrupt) as problem:  # noqa: BLE001  # every end of a command has a code and a document
        error = as_error(problem)
    code = error.exit_code if error else 0
    try:
        _print(request, results, error, code)
    except BrokenPipeError:  # what was made stays made, whether or not somebody reads its name
        silence(sys.stdout)
    except OSError as problem:  # a full disk behind `> paths.txt`: the work is done, its result couldn't be said
        silence(sys.stdout)
        error = error or as_error(problem)
        code = error.exit_code
    if error:
        console.error(str(error))
    return code


def _print(request: Request, results: list[Result], error: BmtoolError | None, code: int) -> None:
    """The result on stdout: a path a line, or one JSON document."""
    if request.as_json:
        document: dict[str, Any] = {"command": request.command, "exit_code": code}
        document["results"] = [asdict(result) for result in results]
        document["error"] = str(error) if error else None
        print(json_text(document))  # noqa: T201  # the result
    else:
        for result in results:
            if result.status in ("done", "up_to_date", "gate_failed") and result.artifact:
                print(result.artifact)  # noqa: T201  # the result
    sys.stdout.flush()


def _make(request: Request, console: Console, results: list[Result]) -> None:
    stop = StopRequest(request.max_seconds)
    with stop.listening():
        with stop.at_once():
            pipeline = _pipeline(request, console)
            store = Store(pipeline.output_dir)
            planner = Planner(pipeline, store, None if request.options.dry_run else console)
            nodes = _nodes(request, pipeline, planner)
            if request.options.is_locked:
                check_locked(nodes, store, pipeline.name)
            later = [node for node in nodes if node.stage != "prepare"]
            check_splits(later, store)
            if request.options.dry_run:
                results += dry_run(nodes, store, pipeline, console, force=request.options.force)
                return
        runner = Runner(pipeline, store, console, stop, request.options, results)
        for node in nodes:
            if later and node is later[0]:
                check_splits(later, store)
            runner.make(node)
    following = _next(request, pipeline)
    if following:
        console.say(f"next: {following}")


def _pipeline(request: Request, console: Console) -> Pipeline:
    """What the file says, in little for a smoke run."""
    pipeline = load_pipeline(request.file, request.options.overrides, stages=request.stages)
    if request.options.is_smoke:
        pipeline = pipeline.in_little()
    if pipeline.output_dir.exists() and not pipeline.output_dir.is_dir():
        raise MissingInputError(f"output_dir: {pipeline.output_dir} is no folder. Name another")
    for text in not_apart(pipeline) if {"prepare", "pretrain"} & set(request.stages) else ():
        console.say(f"warning: {text}")
    return pipeline


def _nodes(request: Request, pipeline: Pipeline, planner: Planner) -> list[Node]:
    if len(request.stages) == 1:
        return planner.nodes(request.stages[0], request.dataset)
    present = [stage for stage in request.stages if getattr(pipeline, stage)]
    if not present:
        raise ConfigError(f"{pipeline.file}: there is no section for any of {', '.join(request.stages)}")
    return [node for stage in present for node in planner.nodes(stage)]


def _next(request: Request, pipeline: Pipeline) -> str:
    later = STAGES[STAGES.index(request.stages[-1]) + 1 :]
    stage = next((stage for stage in later if getattr(pipeline, stage)), None)
    if stage:
        return request.options.suggested(f"bmtool {stage} {shlex.quote(str(request.file))}")
    if pipeline.finetune and not pipeline.is_smoke:
        task = next(iter(pipeline.finetune.datasets))
        model = shlex.quote(str(pipeline.output_dir / pipeline.name / "finetune"))
        return f"bmtool predict {model} FILE{task and f' --task {task}'}"
    return ""
