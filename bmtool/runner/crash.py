"""Turns any exception into an error with an exit code; a bug's traceback is saved and its path said."""

from __future__ import annotations

import errno
import os
import re
import tempfile
import traceback
from datetime import UTC, datetime
from pathlib import Path

from bmtool.errors import BmtoolError, StoppedError, StorageError, TryAgainError

#: The disk said no: full, over quota, broken, read-only, not ours, gone (a mount, NFS); or no such name, or no more
#: files, can be.
_STORAGE = {errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EACCES, errno.EPERM, errno.EFBIG}
_STORAGE |= {errno.ESTALE, errno.ENOTCONN, errno.ENODEV, errno.ENOLCK, errno.ENAMETOOLONG, errno.EMFILE, errno.ENFILE}

#: What torch says where it gets no memory, of the machine and of a card: a RuntimeError.
_NO_MEMORY = ("DefaultCPUAllocator", "CUDA out of memory")


def as_error(problem: BaseException, root: Path | None = None) -> BmtoolError:
    """`problem` as one of our errors. A traceback goes below `root` if that exists, else into the temporary folder."""
    if isinstance(problem, BmtoolError):
        return problem
    if isinstance(problem, KeyboardInterrupt):
        return StoppedError("stopped by Ctrl-C; what was on the disk is kept")
    stop = _stop_behind(problem)
    if stop is not None:
        return stop
    number = _errno_of(problem)
    where = f": {problem.filename}" if isinstance(problem, OSError) and problem.filename else ""
    is_torchs = any(words in str(problem) for words in _NO_MEMORY)
    if number == errno.ENOMEM or isinstance(problem, MemoryError) or is_torchs:
        what = where or (f": {problem}" if str(problem) and not number else "")
        return TryAgainError(
            f"{os.strerror(errno.ENOMEM)}{what}. There is too little memory, or a limit on it (ulimit -v). The last "
            "good state is kept; with more memory, or with fewer workers, the same command goes on from there"
        )
    if number in _STORAGE:
        return StorageError(
            f"{os.strerror(number)}{where}. The last good state is kept; the same command goes on from there"
        )
    return BmtoolError(
        f"a bug in bmtool: {type(problem).__name__}: {problem}. The traceback is in {_save(problem, root)}"
    )


def _stop_behind(problem: BaseException) -> BmtoolError | None:
    """The end that a signal asked for, where a library made another exception of it, such as one about an import."""
    seen: BaseException | None = problem
    while seen is not None:
        if isinstance(seen, StoppedError | TryAgainError):
            return seen
        seen = seen.__cause__ or seen.__context__
    return None


def _errno_of(problem: BaseException) -> int:
    """What the system said, 0 if it wasn't the system. Libraries in Rust (safetensors, tokenizers) say it as text."""
    if isinstance(problem, OSError):
        return problem.errno or 0
    told = re.search(r"\(os error (\d+)\)", str(problem))
    return int(told[1]) if told else 0


def _save(problem: BaseException, root: Path | None) -> str:
    """Where the traceback is now."""
    folder = root / "crashes" if root is not None and root.is_dir() else Path(tempfile.gettempdir())
    name = f"bmtool-{datetime.now(UTC):%Y%m%dT%H%M%S%f}.txt"
    text = "".join(traceback.format_exception(problem))
    try:
        folder.mkdir(exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8", errors="backslashreplace")
    except OSError:  # the disk may be what broke; then the traceback has to be read right here
        return f"(not saved)\n{text}"
    return str(folder / name)
