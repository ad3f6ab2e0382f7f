"""Standard input as a file: it can be read only once, and its bytes must be known before anything is made of them."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from functools import cache
from pathlib import Path

from bmtool.errors import MissingInputError

STDIN = "-"


@cache
def spooled() -> Path:
    """All of standard input in a file of the system's temporary folder, once a process; it is gone at the exit.

    Raises:
        MissingInputError: standard input is closed, or a terminal.
    """
    if sys.stdin is None or sys.stdin.closed or sys.stdin.isatty():
        raise MissingInputError("'-' reads standard input, and nothing is piped into it. Use: cat FILE | bmtool ...")
    number, name = tempfile.mkstemp(prefix="bmtool-stdin-")
    path = Path(name)
    atexit.register(_remove, path, os.getpid())
    with os.fdopen(number, "wb") as file:
        shutil.copyfileobj(sys.stdin.buffer, file, 1024 * 1024)
    return path


def _remove(path: Path, owner: int) -> None:
    if os.getpid() == owner:  # and not in a child that was forked from it
        path.unlink(missing_ok=True)
