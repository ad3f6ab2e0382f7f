"""Small files that are whole or not there at all, hashes, and making sure that bytes reached the disk."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from contextlib import contextmanager, suppress
from pathlib import Path
from stat import S_ISREG
from typing import TYPE_CHECKING, Any

from bmtool.artifacts.faults import fault
from bmtool.errors import DataError, MissingInputError, TryAgainError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from threading import Event

    import pyarrow as pa

#: A file is hashed in parts of this size; hashlib takes as much itself (`file_digest`).
_BLOCK_BYTES = 256 * 1024

#: Errors of a file system, or of two, on which no link can be made.
NO_LINKS = (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP)


def fsync_file(path: Path) -> None:
    """Wait until the bytes of `path` are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


#: A folder is synced as a file is: its entries reach the disk.
fsync_folder = fsync_file


def write_text(path: Path, text: str) -> None:
    """Write `path` atomically: a new file beside it, synced, renamed over it."""
    fault("write")
    new = path.with_name(f".{path.name}.{os.getpid()}.new")  # two runs may write at the same time; the last one stays
    with new.open("w", encoding="utf-8") as handle:
        handle.write(text)
        handle.flush()
        os.fsync(handle.fileno())
    new.rename(path)
    fsync_folder(path.parent)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as JSON, atomically; sorted keys, so that equal values are equal bytes. NaN is refused."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n")


def sha256_of(path: Path, stop: Event | None = None) -> str:
    """The sha256 of a file's bytes, in hex; InterruptedError once another thread sets `stop`."""
    digest, room = hashlib.sha256(), memoryview(bytearray(_BLOCK_BYTES))
    with path.open("rb", buffering=0) as handle:
        while size := handle.readinto(room):
            if stop is not None and stop.is_set():
                raise InterruptedError
            digest.update(room[:size])
    return digest.hexdigest()


#: What a file is told by that nobody wrote to: size, mtime and ctime in nanoseconds, inode.
Stamp = tuple[int, int, int, int]

CHANGED = "{}: the file changed while it was read. Run the command again"


def stamp_of(path: Path) -> Stamp:
    """The file's stamp: as long as it stays, so do the bytes."""
    stat = path.stat()
    return (stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino)


@contextmanager
def unchanged(path: Path, stamp: Stamp | None) -> Iterator[None]:
    """What is read of a file in this block counts only if it bears `stamp` at the end, also that it seems damaged.

    Without a stamp nobody looks.

    Raises:
        TryAgainError: it was written to, or is gone.
    """
    try:
        yield
    except (DataError, MissingInputError):
        _check_stamp(path, stamp)
        raise
    _check_stamp(path, stamp)


def _check_stamp(path: Path, stamp: Stamp | None) -> None:
    if stamp is not None and (not path.exists() or stamp_of(path) != stamp):
        raise TryAgainError(CHANGED.format(path)) from None


def sha256_of_ends(path: Path) -> str:
    """The same of a file's size and its first and last MiB: no proof that files are equal."""
    size, part = path.stat().st_size, 1024**2
    with path.open("rb") as handle:
        start = handle.read(part)
        handle.seek(max(part, size - part))
        return hashlib.sha256(b"%d " % size + start + handle.read(part)).hexdigest()


def link_or_copy(source: Path, target: Path) -> None:
    """Make `target` the same file as `source`, or where no link can be made a copy of it."""
    try:
        target.hardlink_to(source)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        shutil.copy2(source, target)
        fsync_file(target)


def link_files(targets: Mapping[Path, Path]) -> bool:
    """Make each target the same file as its source; False where no link can be made: then there is none."""
    try:
        for source, target in targets.items():
            os.link(source, target)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        for target in targets.values():
            target.unlink(missing_ok=True)
        return False
    return True


def tree_files(folder: Path) -> list[Path]:
    """Every regular file below `folder`, sorted by its path."""
    return sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())


def memory_map(path: Path) -> pa.MemoryMappedFile:
    """A file as Arrow maps it.

    Raises:
        OSError: with the system's number, also where the file is there and can't be mapped: of that Arrow 26 gives the
            system's words alone.
    """
    import pyarrow as pa

    try:
        return pa.memory_map(str(path))
    except OSError as error:
        numbers = {os.strerror(number): number for number in errno.errorcode}
        number = numbers.get(str(error).rpartition(": ")[2])
        if error.errno is not None or number is None:
            raise
        raise OSError(number, os.strerror(number), str(path)) from None


def tree_bytes(folder: Path) -> int:
    """The size of the regular files below `folder`, of those that are still there: a run may be at work in it."""
    size = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with suppress(FileNotFoundError):
                stat = Path(place, name).lstat()
                size += stat.st_size if S_ISREG(stat.st_mode) else 0
    return size


def mapped(path: Path) -> pa.Buffer:
    """The bytes of a file, memory-mapped; none is read before it is asked for, and no descriptor stays open.

    What Arrow reads of a file that it mapped itself, it has the kernel fetch whole: of a stream of batches, all of it.
    """
    import pyarrow as pa

    with memory_map(path) as source:
        first = source.read_buffer(1)  # holds the mapping
        return pa.foreign_buffer(first.address, source.size(), base=first)
