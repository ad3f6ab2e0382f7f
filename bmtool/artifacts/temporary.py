"""Temporary folders that a killed process can't leave for good: a lock in each says whether its maker lives.

Whoever makes one removes first what the killed left in that place; `bmtool status` shows it, and
`bmtool clean` removes it.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

from bmtool.artifacts.lock import is_held, take

if TYPE_CHECKING:
    from collections.abc import Iterator

#: What each is called, with what it is for and a few random letters behind it.
NAME = "bmtool-"

LOCK = "lock"

#: A folder without a lock is one that is being made or removed; after so long its maker was killed just then.
_OLD_SECONDS = 3600


@contextmanager
def temporary_folder(kind: str, *, inside: Path | None = None) -> Iterator[Path]:
    """A folder of this user alone, gone afterwards: in the system's temporary folder, or `inside` another one."""
    place = _place(inside)
    for folder in left_over(place):
        shutil.rmtree(folder, ignore_errors=True)
    folder, lock = _made(kind, place)
    maker = os.getpid()
    try:
        yield folder
    finally:
        if os.getpid() == maker:  # and not a child that was forked from it
            shutil.rmtree(folder, ignore_errors=True)
        lock.close()


def folder_until_exit(kind: str) -> Path:
    """A temporary folder that stays as long as this process."""
    stack = ExitStack()
    atexit.register(stack.close)
    return stack.enter_context(temporary_folder(kind))


def left_over(inside: Path | None = None) -> Iterator[Path]:
    """The temporary folders whose makers, processes of this user, were killed."""
    for folder in sorted(_place(inside).glob(f"{NAME}*-*")):
        with suppress(FileNotFoundError):  # it may just be removed by its maker
            stat = folder.lstat()
            if stat.st_uid != os.geteuid() or not folder.is_dir() or folder.is_symlink():
                continue
            lock = folder / LOCK
            if (not is_held(lock)) if lock.exists() else time.time() - stat.st_mtime > _OLD_SECONDS:
                yield folder


def _place(inside: Path | None) -> Path:
    return inside if inside is not None else Path(tempfile.gettempdir())


def _made(kind: str, place: Path) -> tuple[Path, IO[str]]:
    while True:
        folder = Path(tempfile.mkdtemp(prefix=f"{NAME}{kind}-", dir=place))
        with suppress(FileNotFoundError):  # taken for left over before its lock was held
            lock = take(folder / LOCK)
            if lock is not None:
                return folder, lock
