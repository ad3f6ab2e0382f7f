"""One writer per artifact: a kernel lock that ends with its process, so that no stale lock can exist."""

from __future__ import annotations

import fcntl
import json
import os
import shlex
import socket
import sys
import time
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING

from bmtool.errors import StorageError, TryAgainError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

#: How often a waiting run looks again.
POLL_SECONDS = 0.2


@contextmanager
def locked(
    path: Path,
    *,
    wait_seconds: float = 0.0,
    waiting: Callable[[str], None] | None = None,
    reads: Sequence[str] = (),
) -> Iterator[None]:
    """Hold the lock file `path`; it is gone afterwards. `reads` are artifacts that must stay meanwhile.

    Raises:
        TryAgainError: another run holds it, and still does after `wait_seconds`.
        StorageError: its folder can't be made.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except (FileNotFoundError, FileExistsError, NotADirectoryError) as problem:
        raise StorageError(f"{path.parent}: this folder can't be made: {problem.strerror}. Set output_dir") from problem
    # A moment's patience even without --wait: `status` looks at a lock by taking it for an instant.
    deadline = time.monotonic() + max(wait_seconds, 2 * POLL_SECONDS)
    handle = take(path, reads)
    if handle is None and wait_seconds and waiting:
        waiting(f"waiting up to {wait_seconds:.0f} s for {owner(path)}")
    while handle is None:
        if time.monotonic() >= deadline:
            hint = "" if wait_seconds else ". Wait for it with --wait 2h"
            raise TryAgainError(f"{path.name[1:].removesuffix('.lock')} is being made by {owner(path)}{hint}")
        time.sleep(POLL_SECONDS)
        handle = take(path, reads)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        handle.close()


def take(path: Path, reads: Sequence[str] = ()) -> IO[str] | None:
    """The locked file, or None if another process holds it."""
    handle = path.open("a+", encoding="utf-8")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not _same_file(handle, path):  # its owner removed it between our open and our lock
            handle.close()
            return None
    except BlockingIOError:
        handle.close()
        return None
    handle.truncate(0)
    handle.write(json.dumps({**_me(), "reads": list(reads)}))
    handle.flush()
    return handle


def _same_file(handle: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _me() -> dict[str, str | int]:
    started = time.strftime("%Y-%m-%d %H:%M:%S")
    return {"pid": os.getpid(), "host": socket.gethostname(), "started": started, "command": shlex.join(sys.argv)}


def owner(path: Path) -> str:
    """Who holds the lock, in words."""
    try:
        me = json.loads(path.read_text(encoding="utf-8"))
        return f"process {me['pid']} on {me['host']} since {me['started']} ({me['command']})"
    except (OSError, ValueError, KeyError):
        return "another run"


def is_held(path: Path) -> bool:
    """Whether a running process holds the lock."""
    try:
        with path.open(encoding="utf-8") as handle:
            fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def read_by_runs(store: Path) -> set[str]:
    """Names of artifacts that running processes read, as their locks in the store say."""
    names = set[str]()
    for path in store.glob(".*.lock"):
        if is_held(path):
            with suppress(OSError, ValueError, KeyError):  # its run has just ended
                names.update(json.loads(path.read_text(encoding="utf-8"))["reads"])
    return names
