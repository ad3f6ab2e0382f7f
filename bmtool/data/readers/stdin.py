"""Standard input as a file: it can be read only once, and its bytes must be known before anything is made of them."""

from __future__ import annotations

import shutil
import sys
from functools import cache
from typing import TYPE_CHECKING

from bmtool.artifacts.temporary import folder_until_exit
from bmtool.errors import MissingInputError

if TYPE_CHECKING:
    from pathlib import Path

STDIN = "-"


@cache
def spooled() -> Path:
    """All of standard input in a file of a temporary folder, once a process; it is gone at the exit.

    Raises:
        MissingInputError: standard input is closed, or a terminal.
    """
    if sys.stdin is None or sys.stdin.closed or sys.stdin.isatty():
        raise MissingInputError("'-' reads standard input, and nothing is piped into it. Use: cat FILE | bmtool ...")
    path = folder_until_exit("stdin") / "stdin"
    with path.open("wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file, 1024 * 1024)
    return path
