"""The command line: reads flags, calls the command of the same name, ends with its exit code. Imports nothing heavy."""

import gc
import io
import os
import sys
from typing import Annotated

import typer

from bmtool import __version__
from bmtool.cli.beside_stages import (
    check,
    clean,
    compare,
    doctor,
    init,
    inspect,
    list_,
    predict,
    schema,
    status,
    verify,
)
from bmtool.cli.calling import call
from bmtool.cli.flags import Folder
from bmtool.cli.stages import prepare, run, stage
from bmtool.console import Console
from bmtool.errors import ConfigError

__all__ = ["app", "main"]

app = typer.Typer(
    name="bmtool",
    help="Five commands take a team from raw documents to a shipped model.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


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
    call(Console(), lambda: _begin(context.invoked_subcommand), folder)


def _begin(command: str | None) -> int:
    if command is None:
        raise ConfigError("which command? `bmtool --help` lists them")
    # OpenMP's waiting threads spin for a shorter time (GNU's default is 300,000 turns) before they sleep and leave the
    # processor to others. It is read when torch is loaded. What was measured: docs/negative-results.md.
    os.environ.setdefault("GOMP_SPINCOUNT", "10000")
    return 0


# In the order of `bmtool --help`.
app.command()(prepare)
app.command("pretrain", help="Train without labels, from scratch or on from a checkpoint.")(stage("pretrain"))
app.command("finetune", help="Train a task on top of a checkpoint.")(stage("finetune"))
app.command("evaluate", help="Measure a checkpoint: metrics with intervals, baselines, gates, a report.")(
    stage("evaluate")
)
app.command("export", help="Write other formats, each proven equal to the checkpoint.")(stage("export"))
app.command()(run)
app.command()(status)
app.command()(verify)
app.command()(clean)
app.command()(check)
app.command("list")(list_)
app.command()(schema)
app.command()(init)
app.command()(predict)
app.command()(inspect)
app.command()(compare)
app.command()(doctor)


def main() -> None:
    """The entry point of the command `bmtool`."""
    from bmtool.data.lean import own_process

    _open_closed_streams()
    _let_any_name_be_printed()
    own_process()
    try:
        app()
    finally:
        gc.freeze()  # what is left ends with the process: to look it through once more takes 0.1 s


def _let_any_name_be_printed() -> None:
    """A file's name may hold what standard output has no characters for; that a result exists can be said still."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        is_utf8 = sys.stdout.encoding.lower().replace("-", "") == "utf8"
        sys.stdout.reconfigure(errors="surrogateescape" if is_utf8 else "backslashreplace")


def _open_closed_streams() -> None:
    """Lead standard streams that the caller closed (`>&-`) to nowhere, so that no file of ours gets their numbers."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(number, True)
    os.close(number)
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), "r" if name == "stdin" else "w"))
