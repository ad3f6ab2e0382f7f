"""Calls a command's function: from the folder that `-C` names, with an exit code for every end."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import typer

from bmtool.console import json_text, silence
from bmtool.errors import MissingInputError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bmtool.console import Console
    from bmtool.errors import BmtoolError


def call(
    console: Console, command: Callable[[], int], folder: Path | None = None, *, json_command: str | None = None
) -> None:
    """Run a command in `folder`; its errors become a line and an exit code.

    With `json_command`, the command's name, an error is a JSON document on standard output, too, as a result would be.
    """
    from bmtool.runner.crash import as_error

    try:
        _enter(folder)
        code = command()
        sys.stdout.flush()
    except BrokenPipeError:  # `bmtool list | head`: the reader has seen enough
        silence(sys.stdout)
        code = 0
    except (Exception, KeyboardInterrupt) as problem:  # noqa: BLE001  # every end of a command has an exit code
        error: BmtoolError = as_error(problem)
        code = error.exit_code
        if json_command is not None:
            _print_error(json_command, code, str(error))
        console.error(str(error))
    if code:
        raise typer.Exit(code)


def _print_error(command: str, code: int, text: str) -> None:
    try:
        print(json_text({"command": command, "exit_code": code, "results": [], "error": text}))  # noqa: T201
        sys.stdout.flush()
    except OSError:  # nobody reads it, or it can't be written: the line on stderr and the exit code say as much
        silence(sys.stdout)


def _enter(folder: Path | None) -> None:
    if folder is None:
        return
    if not folder.is_dir():
        raise MissingInputError(f"-C {folder}: there is no such folder")
    os.chdir(folder)


def seconds_of(flag: str, text: str | None) -> float | None:
    """What a flag such as `--wait 2h` says, in seconds; None without it."""
    from pydantic_core import PydanticCustomError

    from bmtool.config.units import seconds

    try:
        given = None if text is None else float(seconds(text))
    except PydanticCustomError as error:
        raise typer.BadParameter(error.message(), param_hint=flag) from None
    if given == 0:
        raise typer.BadParameter(f"'{text}' is no time at all; leave the flag out", param_hint=flag)
    return given
