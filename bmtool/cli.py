"""The command line: reads flags, calls the command of the same name, ends with its exit code. Imports nothing heavy."""

from __future__ import annotations

import gc
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bmtool import __version__
from bmtool.console import Console, silence
from bmtool.errors import BmtoolError, ConfigError, MissingInputError

if TYPE_CHECKING:
    from collections.abc import Callable

app = typer.Typer(
    name="bmtool",
    help="Five commands take a team from raw documents to a shipped model.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)

File = Annotated[Path, typer.Argument(help="The configuration, a YAML file.")]
Dataset = Annotated[str | None, typer.Argument(help="One dataset under `prepare:`; all of them without it.")]
Set = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Override a setting, e.g. pretrain.max_steps=50.")
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of paths.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be made, and why; make nothing.")]
Smoke = Annotated[
    bool,
    typer.Option("--smoke", help="Try it on 1,000 rows in 20 steps; the results, under NAME.smoke, fit no other run."),
]
Force = Annotated[bool, typer.Option("--force", help="Make it again from nothing.")]
MaxTime = Annotated[
    str | None, typer.Option("--max-time", metavar="2h", help="Save and stop after this long, exit 75.")
]
Wait = Annotated[
    str | None,
    typer.Option("--wait", metavar="2h", help="Wait this long for another run's lock or a busy GPU."),
]
Locked = Annotated[bool, typer.Option("--locked", help="Exit 2 if anything upstream would have to be made again.")]
Offline = Annotated[bool, typer.Option("--offline", help="Use no network: of what `hf:` names, only what is cached.")]
Folder = Annotated[Path | None, typer.Option("-C", metavar="FOLDER", help="Change into this folder first.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Say only warnings and errors; stdout stays.")]
Verbose = Annotated[bool, typer.Option("-v", "--verbose", help="Say more.")]


@app.callback(invoke_without_command=True)
def bmtool(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    folder: Folder = None,
) -> None:
    """Five commands take a team from raw documents to a shipped model."""
    if version:
        print(__version__)  # noqa: T201  # the result
        raise typer.Exit
    _call(Console(), lambda: _begin(context.invoked_subcommand, folder))


def _begin(command: str | None, folder: Path | None) -> int:
    if command is None:
        raise ConfigError("which command? `bmtool --help` lists them")
    # OpenMP's waiting threads spin for a shorter time (GNU's default is 300,000 turns) before they sleep and leave the
    # processor to others. It is read when torch is loaded. What was measured: docs/negative-results.md.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    return _enter(folder)


def _enter(folder: Path | None) -> int:
    if folder is not None:
        if not folder.is_dir():
            raise MissingInputError(f"-C {folder}: there is no such folder")
        os.chdir(folder)
    return 0


def _call(console: Console, command: Callable[[], int]) -> None:
    """Run a command; its errors become a line and an exit code."""
    from bmtool.runner.crash import as_error

    try:
        code = command()
        sys.stdout.flush()
    except BrokenPipeError:  # `bmtool list | head`: the reader has seen enough
        silence(sys.stdout)
        code = 0
    except (Exception, KeyboardInterrupt) as problem:  # noqa: BLE001  # every end of a command has an exit code
        error: BmtoolError = as_error(problem)
        console.error(str(error))
        code = error.exit_code
    if code:
        raise typer.Exit(code)


def _refuse(text: str) -> int:
    """Flags that don't go together."""
    raise ConfigError(text)


def _seconds(flag: str, text: str | None) -> float | None:
    from pydantic_core import PydanticCustomError

    from bmtool.config.units import seconds

    try:
        given = None if text is None else float(seconds(text))
    except PydanticCustomError as error:
        raise typer.BadParameter(error.message(), param_hint=flag) from None
    if given == 0:
        raise typer.BadParameter(f"'{text}' is no time at all; leave the flag out", param_hint=flag)
    return given


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

    console = Console(quiet=quiet, verbose=verbose)
    _call(console, lambda: _enter(folder))
    if offline:
        os.environ["HF_HUB_OFFLINE"] = "1"  # read by huggingface_hub when it is loaded, by processes of this one too
    options = Options(force, dry_run, locked, _seconds("--wait", wait) or 0.0, tuple(overrides or ()), smoke)
    request = Request(command, file, stages, dataset, as_json, _seconds("--max-time", max_time), options)
    code = make(request, console)
    if code:
        raise typer.Exit(code)


@app.command()
def prepare(
    file: File,
    dataset: Dataset = None,
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

        given = {"--dry-run": dry_run, "--force": force, "--max-time": max_time, "--wait": wait, "--locked": locked}
        given["--smoke"] = smoke
        others = [flag for flag, value in given.items() if value not in (False, None)]
        request = Request(file, dataset, sample, set_ or [], others, json)
        console = Console(quiet=quiet, verbose=verbose)
        _call(console, lambda: _enter(folder) or preview(request, console))
        return
    _make(
        "prepare", file, ("prepare",), dataset=dataset, overrides=set_, as_json=json, dry_run=dry_run, smoke=smoke,
        force=force, max_time=max_time, wait=wait, locked=locked, offline=offline,
        folder=folder, quiet=quiet, verbose=verbose,
    )  # fmt: skip


def _stage(name: str, text: str) -> None:
    """Add the command of a stage that makes one artifact."""

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

    app.command(name, help=text)(command)


_stage("pretrain", "Train without labels, from scratch or on from a checkpoint.")
_stage("finetune", "Train a task on top of a checkpoint.")
_stage("evaluate", "Measure a checkpoint: metrics with intervals, baselines, gates, a report.")
_stage("export", "Write other formats, each proven equal to the checkpoint.")


@app.command()
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
    from bmtool.config.references import STAGES

    for flag, stage in (("--from", first), ("--until", last)):
        if stage is not None and stage not in STAGES:
            raise typer.BadParameter(f"'{stage}' is none of {', '.join(STAGES)}", param_hint=flag)
    start, end = STAGES.index(first or STAGES[0]), STAGES.index(last or STAGES[-1])
    if start > end:
        raise typer.BadParameter(f"'{first}' comes after --until {last}", param_hint="--from")
    _make(
        "run", file, STAGES[start : end + 1], overrides=set_, as_json=json, dry_run=dry_run, smoke=smoke,
        force=force, max_time=max_time, wait=wait, locked=locked, offline=offline,
        folder=folder, quiet=quiet, verbose=verbose,
    )  # fmt: skip


@app.command()
def status(
    output_dir: Annotated[Path, typer.Argument(help="The output folder.")] = Path("runs"),
    json: Json = False,
    folder: Folder = None,
) -> None:
    """What is there: names, artifacts, sizes, ages, unfinished work and who is at it."""
    from bmtool.commands.status import status as command

    console = Console()
    _call(console, lambda: _enter(folder) or command(output_dir, as_json=json))


@app.command()
def clean(
    output_dir: Annotated[Path, typer.Argument(help="The output folder.")] = Path("runs"),
    keep: Annotated[
        int, typer.Option("--keep", min=0, help="Keep so many of the newest unneeded artifacts a stage.")
    ] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be removed; remove nothing.")] = False,
    json: Json = False,
    folder: Folder = None,
    quiet: Quiet = False,
) -> None:
    """Remove what no name and no needed artifact stands on, and unfinished work that nobody is at."""
    from bmtool.commands.clean import clean as command

    console = Console(quiet=quiet)
    _call(
        console,
        lambda: _enter(folder) or command(output_dir, keep=keep, dry_run=dry_run, as_json=json, console=console),
    )


@app.command()
def check(
    files: Annotated[list[Path], typer.Argument(help="Configurations.")],
    set_: Set = None,
    json: Json = False,
    folder: Folder = None,
    quiet: Quiet = False,
) -> None:
    """Say everything that is wrong with configurations, without opening data."""
    from bmtool.commands.check import check as command

    console = Console(quiet=quiet)
    _call(console, lambda: _enter(folder) or command(files, set_ or [], as_json=json, console=console))


@app.command("list")
def list_(
    kind: Annotated[str | None, typer.Argument(help="A kind of component, or a section of the file.")] = None,
    name: Annotated[str | None, typer.Argument(help="A component: its settings, defaults and an example.")] = None,
    json: Json = False,
) -> None:
    """Show the components that a configuration can name, and all settings."""
    from bmtool.commands.list_ import list_ as command

    _call(Console(), lambda: command(kind, name, as_json=json))


@app.command()
def init(
    source: Annotated[Path, typer.Argument(help="A CSV, JSONL or Parquet file, or a folder of them.")],
    task: Annotated[
        str | None, typer.Option("--task", metavar="NAME", help="For which task, if it can't tell.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the configuration that is there.")] = False,
    json: Json = False,
    folder: Folder = None,
    quiet: Quiet = False,
) -> None:
    """Look at a file, guess its task and columns, write a commented configuration that runs."""
    from bmtool.commands.init import init as command

    console = Console(quiet=quiet)
    _call(console, lambda: _enter(folder) or command(source, task=task, force=force, as_json=json, console=console))


@app.command()
def predict(
    model: Annotated[Path, typer.Argument(help="A checkpoint or an ONNX bundle.")],
    source: Annotated[str, typer.Argument(help="A CSV, JSONL or Parquet file, or - for JSONL on standard input.")],
    task: Annotated[str, typer.Option("--task", metavar="NAME", help="Which one, of several tasks of a model.")] = "",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where to write; JSONL to stdout without it.")
    ] = None,
    column: Annotated[list[str] | None, typer.Option("--column", metavar="OURS=THEIRS", help="e.g. text=body")] = None,
    batch_tokens: Annotated[int | None, typer.Option("--batch-tokens", min=1, help="Tokens in a batch.")] = None,
    json: Json = False,
    folder: Folder = None,
    quiet: Quiet = False,
) -> None:
    """Answer each row of a file, in order, beside the row's own columns."""
    from bmtool.commands.predict import predict as command

    pairs = {}
    for pair in column or []:
        ours, equals, theirs = pair.partition("=")
        if not (ours and equals and theirs):
            raise typer.BadParameter(f"'{pair}' is not of the form text=body", param_hint="--column")
        pairs[ours] = theirs
    console = Console(quiet=quiet)
    _call(
        console,
        lambda: (
            _enter(folder)
            or command(
                model,
                source,
                task=task,
                output=output,
                columns=pairs,
                batch_tokens=batch_tokens,
                as_json=json,
                console=console,
            )
        ),
    )


@app.command()
def inspect(
    artifact: Annotated[Path, typer.Argument(help="The folder of an artifact, or a name such as runs/x/finetune.")],
    row: Annotated[
        str | None, typer.Option("--row", metavar="ID", help="What became of one row of a dataset, and who saw it.")
    ] = None,
    mask: Annotated[
        bool, typer.Option("--mask", help="Which tokens of its rows a model reads that writes, and which it learns.")
    ] = False,
    model: Annotated[
        Path | None, typer.Option("--model", help="With --mask: the checkpoint, or the corpus, that reads a dataset.")
    ] = None,
    json: Json = False,
    folder: Folder = None,
) -> None:
    """Show what an artifact is, what it was made from and what is in it."""
    from bmtool.commands.inspect import inspect as command
    from bmtool.commands.mask import mask as show_mask
    from bmtool.commands.trace import trace

    if (model is not None and not mask) or (mask and row is not None):
        flags = (
            "--model says who reads the rows that --mask shows: add --mask"
            if row is None
            else (f"{'--mask' if mask else '--model'} and --row show different things: give one of them")
        )
        _call(Console(), lambda: _refuse(flags))
    elif mask:
        _call(Console(), lambda: _enter(folder) or show_mask(artifact, model, as_json=json))
    elif row is not None:
        _call(Console(), lambda: _enter(folder) or trace(artifact, row, as_json=json))
    else:
        _call(Console(), lambda: _enter(folder) or command(artifact, as_json=json))


def main() -> None:
    """The entry point of the command `bmtool`."""
    from bmtool.data.lean import own_process

    _open_closed_streams()
    own_process()
    try:
        app()
    finally:
        gc.freeze()  # what is left ends with the process: to look it through once more takes 0.1 s


def _open_closed_streams() -> None:
    """Lead standard streams that the caller closed (`>&-`) to nowhere, so that no file of ours gets their numbers."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), "r" if name == "stdin" else "w"))


if __name__ == "__main__":
    main()
