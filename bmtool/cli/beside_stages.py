"""The commands beside the stages: they look, tidy up, write a first configuration, and answer."""

from pathlib import Path
from typing import Annotated

import typer

from bmtool.cli.calling import call
from bmtool.cli.flags import Folder, Json, OutputDir, Quiet, Set
from bmtool.console import Console
from bmtool.errors import ConfigError


def status(output_dir: OutputDir = Path("runs"), json: Json = False, folder: Folder = None) -> None:
    """What is there: names, artifacts, sizes, ages, unfinished work and who is at it."""
    from bmtool.commands.status import status as command

    call(Console(), lambda: command(output_dir, as_json=json), folder, json_command=_if(json, "status"))


def verify(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(help="Artifacts, such as runs/x/finetune, or all in a folder, such as runs."),
    ] = None,
    json: Json = False,
    folder: Folder = None,
    quiet: Quiet = False,
) -> None:
    """Read every file of artifacts and compare it with its hash in the manifest."""
    from bmtool.commands.verify import verify as command

    console = Console(quiet=quiet)
    call(
        console,
        lambda: command(folders or [Path("runs")], as_json=json, console=console),
        folder,
        json_command=_if(json, "verify"),
    )


def clean(
    output_dir: OutputDir = Path("runs"),
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
    call(
        console,
        lambda: command(output_dir, keep=keep, dry_run=dry_run, as_json=json, console=console),
        folder,
        json_command=_if(json, "clean"),
    )


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
    call(
        console,
        lambda: command(files, set_ or [], as_json=json, console=console),
        folder,
        json_command=_if(json, "check"),
    )


def list_(
    kind: Annotated[str | None, typer.Argument(help="A kind of component, presets, or a section of the file.")] = None,
    name: Annotated[
        str | None, typer.Argument(help="A component: its settings, defaults and an example; or a preset.")
    ] = None,
    json: Json = False,
) -> None:
    """Show the components that a configuration can name, and all settings."""
    from bmtool.commands.list_ import list_ as command

    call(Console(), lambda: command(kind, name, as_json=json), json_command=_if(json, "list"))


def schema() -> None:
    """Print the JSON Schema of a configuration, for editors: `bmtool schema > bmtool.schema.json`."""
    from bmtool.commands.schema import schema as command

    call(Console(), command)


def init(
    source: Annotated[Path, typer.Argument(help="A CSV, JSONL or Parquet file, or a folder of them.")],
    task: Annotated[
        str | None, typer.Option("--task", metavar="NAME", help="For which task, if it can't tell.")
    ] = None,
    column: Annotated[
        list[str] | None, typer.Option("--column", metavar="OURS=THEIRS", help="e.g. label=mood, if it can't tell.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the configuration that is there.")] = False,
    json: Json = False,
    folder: Folder = None,
    quiet: Quiet = False,
) -> None:
    """Look at a file, guess its task and columns, write a commented configuration that runs."""
    from bmtool.commands.init.command import init as command

    console = Console(quiet=quiet)
    columns = _pairs(column or [])
    call(
        console,
        lambda: command(source, task=task, columns=columns, force=force, as_json=json, console=console),
        folder,
        json_command=_if(json, "init"),
    )


def predict(
    model: Annotated[Path, typer.Argument(help="A checkpoint or an ONNX bundle.")],
    source: Annotated[str, typer.Argument(help="A CSV, JSONL or Parquet file, or - for JSONL on standard input.")],
    task: Annotated[str, typer.Option("--task", metavar="NAME", help="Which one, of several tasks of a model.")] = "",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where to write; JSONL to stdout without it.")
    ] = None,
    column: Annotated[list[str] | None, typer.Option("--column", metavar="OURS=THEIRS", help="e.g. text=body")] = None,
    delimiter: Annotated[
        str | None, typer.Option("--delimiter", metavar="CHARACTER", help="Of CSV: a tab in .tsv, a comma else.")
    ] = None,
    batch_tokens: Annotated[int | None, typer.Option("--batch-tokens", min=1, help="Tokens in a batch.")] = None,
    json: Json = False,
    folder: Folder = None,
    quiet: Quiet = False,
) -> None:
    """Answer each row of a file, in order, beside the row's own columns."""
    from bmtool.commands.predict import predict as command

    columns = _pairs(column or [])
    console = Console(quiet=quiet)
    call(
        console,
        lambda: command(
            model, source, task=task, delimiter=delimiter, output=output, columns=columns,
            batch_tokens=batch_tokens, as_json=json, console=console,
        ),
        folder,
        json_command=_if(json, "predict"),
    )  # fmt: skip


def _pairs(given: list[str]) -> dict[str, str]:
    """`--column text=body` by our name."""
    pairs = {}
    for pair in given:
        ours, equals, theirs = pair.partition("=")
        if not (ours and equals and theirs):
            raise typer.BadParameter(f"'{pair}' is not of the form text=body", param_hint="--column")
        pairs[ours] = theirs
    return pairs


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
    call(
        Console(),
        lambda: _inspect(artifact, row=row, mask=mask, model=model, as_json=json),
        folder,
        json_command=_if(json, "inspect"),
    )


def compare(
    a: Annotated[Path, typer.Argument(metavar="A", help="An artifact, such as runs/x/finetune, or a project, runs/x.")],
    b: Annotated[Path, typer.Argument(metavar="B", help="Another one of its kind.")],
    json: Json = False,
    folder: Folder = None,
) -> None:
    """Put two artifacts side by side: settings, inputs and versions that differ, numbers, and B minus A row by row."""
    from bmtool.commands.compare.command import compare as command

    call(Console(), lambda: command(a, b, as_json=json), folder, json_command=_if(json, "compare"))


def doctor(
    file: Annotated[Path | None, typer.Argument(help="A configuration that is to run here.")] = None,
    set_: Set = None,
    json: Json = False,
    folder: Folder = None,
) -> None:
    """Say what this machine gives a run, and what is wrong with it: packages, disk, extras, device, threads, memory."""
    from bmtool.commands.doctor.command import doctor as command

    call(Console(), lambda: command(file, set_ or [], as_json=json), folder, json_command=_if(json, "doctor"))


def _inspect(artifact: Path, *, row: str | None, mask: bool, model: Path | None, as_json: bool) -> int:
    from bmtool.commands.inspect import inspect as command
    from bmtool.commands.mask import mask as show_mask
    from bmtool.commands.trace import trace

    if row is not None and (mask or model is not None):
        raise ConfigError(f"{'--mask' if mask else '--model'} and --row show different things: give one of them")
    if model is not None and not mask:
        raise ConfigError("--model says who reads the rows that --mask shows: add --mask")
    if mask:
        return show_mask(artifact, model, as_json=as_json)
    if row is not None:
        return trace(artifact, row, as_json=as_json)
    return command(artifact, as_json=as_json)


def _if(json: bool, command: str) -> str | None:
    """The command's name where its result, and so its error, is a JSON document."""
    return command if json else None
