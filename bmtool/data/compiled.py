"""numba, with compiled kernels kept in a folder that belongs to this very state of the source.

numba keeps a kernel by the bytes of its own file. A function that it calls from another file may be another one since
(an upgrade, a `git pull`), and the kernel would go on as it was compiled: wrong, and silent about it. So every module
with kernels takes numba from here.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numba as nb

from bmtool.artifacts.temporary import folder_until_exit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import IO

#: What each folder of kernels is called, with a hash of the source behind it.
NAME = "kernels-"

#: How often a process looks whether another one has compiled what it needs.
LOOK_SECONDS = 0.1

#: Kernels of other states of the source that stay: those used last, and not longer than so many days. A state takes up
#: to 20 MB, and half a minute to be compiled; who goes back and forth between two branches finds both.
_OTHERS_KEPT = 3
_KEPT_DAYS = 7

#: A file in each folder that is locked by all processes that use it.
_USED = "used"

#: Behind the name of one that is being removed: no process finds half of it.
_GOING = ".going"


def source_key() -> str:
    """A hash of all Python files from which kernels are made."""
    package = Path(__file__).parent.parent
    digest = hashlib.sha256()
    places = ("data/**/*.py", "train/order/*.py", "train/weights/adamw_kernels.py")
    for path in sorted(path for place in places for path in package.glob(place)):
        digest.update(f"{path.relative_to(package)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def kernel_folder(places: list[Path], *, name: str = NAME, key: str | None = None) -> Path:
    """The folder `name` with `key` behind it (without one, for this source) in the first place that can be written.

    A temporary one of this process if none can. A shared folder such as /tmp won't do: files of compiled code, numba's
    among them, can run code when they are read.
    """
    for base in places:
        folder = base / f"{name}{key or source_key()}"
        with suppress(OSError):
            is_new = not folder.exists()
            _use(folder)
            if is_new:
                _remove_old(base, name)
            return folder
    return folder_until_exit("kernels")


def _use(folder: Path) -> None:
    """Make a folder, and let nobody remove it while this process runs."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):  # it was removed just then
            number = os.open(folder / _USED, os.O_WRONLY | os.O_CREAT, 0o666)  # the system closes it with the process
            fcntl.flock(number, fcntl.LOCK_SH)
            if os.path.samestat(os.fstat(number), (folder / _USED).stat()):
                os.utime(folder)
                return
            os.close(number)


def _remove_old(base: Path, name: str = NAME) -> None:
    """Remove kernels of other states of the source, or of other machines, that no process uses."""
    used = {}
    for folder in base.glob(f"{name}*"):
        with suppress(FileNotFoundError):  # another process may remove it, too
            used[folder] = folder.stat().st_mtime
    lasted = time.time() - _KEPT_DAYS * 86_400
    # Those without the file are an earlier bmtool's, whose processes lock nothing.
    ours, *others = sorted((one for one in used if (one / _USED).exists()), key=lambda one: used[one], reverse=True)
    going = {one for one in used if used[one] < lasted or one.suffix == _GOING} | set(others[_OTHERS_KEPT:])
    for folder in going - {ours}:
        _remove_unused(folder)


def _remove_unused(folder: Path) -> None:
    """What can't be removed is no harm."""
    with suppress(OSError), (folder / _USED).open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        going = folder if folder.suffix == _GOING else folder.rename(folder.with_suffix(_GOING))
        shutil.rmtree(going, ignore_errors=True)


def bases() -> list[Path]:
    """Where compiled code may be kept, in the order in which it is tried."""
    asked = os.environ.get("NUMBA_CACHE_DIR")
    if asked:
        return [Path(asked)]
    beside = Path(__file__).parent / "__pycache__"
    try:
        cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    except RuntimeError:  # a user that the system doesn't know, as in a container, has no home
        return [beside]
    return [beside, cache / "bmtool"]


@contextmanager
def compiling_once(work: Sequence[str], tick: Callable[[int], None]) -> Iterator[None]:
    """Let other processes wait that do the same work for the first time: they find the kernels that it compiles.

    To compile what `prepare` calls takes 23 s of CPU, which every worker would spend. Work that was done once under
    this source is done side by side. `tick` is called while it waits, with 0.
    """
    name = hashlib.sha256("\0".join(work).encode()).hexdigest()[:16]
    done = Path(nb.config.CACHE_DIR) / f"{name}.done"  # type: ignore[attr-defined]
    if done.exists():
        yield
        return
    with done.with_suffix(".lock").open("a") as lock:  # it is free when its process ends, however that is
        while not done.exists() and not _is_taken(lock):
            tick(0)
            time.sleep(LOOK_SECONDS)
        if done.exists():  # another process was faster
            fcntl.flock(lock, fcntl.LOCK_UN)
        yield
        done.touch()


def _is_taken(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


nb.config.CACHE_DIR = str(kernel_folder(bases()))  # type: ignore[attr-defined]

__all__ = ["NAME", "bases", "compiling_once", "kernel_folder", "nb", "source_key"]
