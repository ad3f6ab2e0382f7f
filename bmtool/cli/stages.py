"""The commands that make artifacts: `prepare`, the stages that make one each, and `run`, which is all of them."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from bmtool.cli.calling import call, seconds_of
from bmtool.cli.flags import (
    DryRun,
    File,
    Folder,
    Force,
    Json,
    Locked,
    MaxTime,
    Offline,
    Quiet,
    Set,
    Smoke,
    Verbose,
    Wait,
)
from bmtool.console import Console


def prepare(
    file: File,
    dataset: Annotated[str | None, typer.Argument(help="One dataset under `prepare:`; all of them without it.")] = None,
    sample: Annotated[
        str | None,
        typer.Option("--sample", metavar="1%", help="Show what each rule would drop of so many rows; write nothing."),
    ] = None,
    set_: Set = None,
    json: Json = False,
    dry_run: DryRun = False,
    smoke: Smoke = False,
    force: Force = False,
    max_time: MaxTime = None,
    wait: Wait = None,
    locked: Locked = False,
    offline: Offline = False,
    folder: Folder = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """Collect, clean, filter, deduplicate and split rows; train a tokenizer and encode."""
    if sample is not None:
        from bmtool.commands.preview import Request, preview

        _forgo_network(wanted=offline)
        given = {"--dry-run": dry_run, "--force": force, "--max-time": max_time, "--wait": wait, "--locked": locked}
        given["--smoke"] = smoke
        others = [flag for flag, value in given.items() if value not in (False, None)]
        request = Request(file, dataset, sample, set_ or [], others, json)
        console = Console(quiet=quiet, verbose=verbose)
        call(console, lambda: preview(request, console), folder, json_command="prepare" if json else None)
        return
    _make(
        "prepare", file, ("prepare",), dataset=dataset, overrides=set_, as_json=json, dry_run=dry_run, smoke=smoke,
        force=force, max_time=max_time, wait=wait, locked=locked, offline=offline,
        folder=folder, quiet=quiet, verbose=verbose,
    )  # fmt: skip


def stage(name: str) -> Callable[..., None]:
    """The command of a stage that makes one artifact."""

    def command(
        file: File,
        set_: Set = None,
        json: Json = False,
        dry_run: DryRun = False,
        smoke: Smoke = False,
        force: Force = False,
        max_time: MaxTime = None,
        wait: Wait = None,
        locked: Locked = False,
        offline: Offline = False,
        folder: Folder = None,
        quiet: Quiet = False,
        verbose: Verbose = False,
    ) -> None:
        _make(
            name, file, (name,), overrides=set_, as_json=json, dry_run=dry_run, smoke=smoke,
            force=force, max_time=max_time, wait=wait, locked=locked, offline=offline,
            folder=folder, quiet=quiet, verbose=verbose,
        )  # fmt: skip

    return command


def run(
    file: File,
    first: Annotated[str | None, typer.Option("--from", metavar="STAGE", help="Start here.")] = None,
    last: Annotated[str | None, typer.Option("--until", metavar="STAGE", help="End here.")] = None,
    set_: Set = None,
    json: Json = False,
    dry_run: DryRun = False,
    smoke: Smoke = False,
    force: Force = False,
    max_time: MaxTime = None,
    wait: Wait = None,
    locked: Locked = False,
    offline: Offline = False,
    folder: Folder = None,
    quiet: Quiet = False,
    verbose: Verbose = False,
) -> None:
    """All stages of the file in order, each skipped when it is up to date."""
    _make(
        "run", file, _between(first, last), overrides=set_, as_json=json, dry_run=dry_run, smoke=smoke,
        force=force, max_time=max_time, wait=wait, locked=locked, offline=offline,
        folder=folder, quiet=quiet, verbose=verbose,
    )  # fmt: skip


def _between(first: str | None, last: str | None) -> tuple[str, ...]:
    """The stages from `--from` to `--until`."""
    from bmtool.config.references import STAGES

    for flag, name in (("--from", first), ("--until", last)):
        if name is not None and name not in STAGES:
            raise typer.BadParameter(f"'{name}' is none of {', '.join(STAGES)}", param_hint=flag)
    start, end = STAGES.index(first or STAGES[0]), STAGES.index(last or STAGES[-1])
    if start > end:
        raise typer.BadParameter(f"'{first}' comes after --until {last}", param_hint="--from")
    return STAGES[start : end + 1]


def _forgo_network(*, wanted: bool) -> None:
    if wanted:
        os.environ["HF_HUB_OFFLINE"] = "1"  # read by huggingface_hub when it is loaded, by processes of this one too


def _make(
    command: str,
    file: Path,
    stages: tuple[str, ...],
    *,
    dataset: str | None = None,
    overrides: list[str] | None,
    as_json: bool,
    dry_run: bool,
    smoke: bool,
    force: bool,
    max_time: str | None,
    wait: str | None,
    locked: bool,
    offline: bool,
    folder: Path | None,
    quiet: bool,
    verbose: bool,
) -> None:
    from bmtool.commands.make import Request, make
    from bmtool.runner.life import Options

    _forgo_network(wanted=offline)
    options = Options(force, dry_run, locked, seconds_of("--wait", wait) or 0.0, tuple(overrides or ()), smoke)
    request = Request(command, file, stages, dataset, as_json, seconds_of("--max-time", max_time), options)
    console = Console(quiet=quiet, verbose=verbose)
    call(console, lambda: make(request, console), folder, json_command=command if as_json else None)
