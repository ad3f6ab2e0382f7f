"""Work on units that is kept on disk and taken up again: a folder a unit, whole and unchanged or not there at all."""

from __future__ import annotations

import errno
import json
import os
import shutil
import socket
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import xxhash

from bmtool.artifacts.faults import fault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

FACTS = "facts.json"


@dataclass(frozen=True)
class Shelf:
    """A folder with one folder a key. What is in it was written by bmtool; what is damaged or unfinished isn't found.

    Several runs may use it at once: what is whole stays where it is.
    """

    folder: Path

    def find(self, key: str) -> dict[str, Any] | None:
        """The facts noted with `key`, if everything kept under it is there and unchanged; marks it as used."""
        folder = self.path(key)
        facts = _facts_if_whole(folder)
        if facts is not None:
            os.utime(folder)
        return facts

    def path(self, key: str) -> Path:
        """Where the files of `key` are."""
        return self.folder / key[:2] / key

    def remove(self, key: str) -> None:
        """Forget what is kept under `key`."""
        shutil.rmtree(self.path(key), ignore_errors=True)

    @contextmanager
    def filling(self, key: str) -> Iterator[tuple[Path, dict[str, Any]]]:
        """A new folder to write files into, and facts to fill in; kept under `key` when nothing was raised.

        No byte is synced: what a power cut tears is found by its hash, and made again.
        """
        final = self.path(key)
        mark = f".{key}.{socket.gethostname()}."
        new = final.with_name(f"{mark}{os.getpid()}")
        _remove_left_over(final.parent, mark)
        new.mkdir(parents=True)
        facts: dict[str, Any] = {}
        try:
            yield new, facts
            fault("write")
            files = sorted(new.iterdir())
            facts["files"] = {path.name: _noted(path) for path in files}
            facts["stamps"] = {path.name: _stamp(path) for path in files}
            (new / FACTS).write_text(sealed(facts), encoding="utf-8")
            _put(new, final, facts["files"])
        except BaseException:
            shutil.rmtree(new, ignore_errors=True)
            raise


def _facts_if_whole(folder: Path) -> dict[str, Any] | None:
    try:
        facts = unsealed((folder / FACTS).read_text(encoding="utf-8"))
        is_whole = all(
            _stamp(folder / name) == facts["stamps"][name] or _noted(folder / name) == tuple(noted)
            for name, noted in facts["files"].items()
        )
    except (FileNotFoundError, NotADirectoryError, ValueError, KeyError):
        return None
    return facts if is_whole else None


def sealed(plain: dict[str, Any]) -> str:
    """Plain values as JSON, with a hash of them."""
    return json.dumps({**plain, "seal": _seal(plain)})


def unsealed(text: str) -> dict[str, Any]:
    """What `sealed` was given.

    Raises:
        ValueError: it isn't that any more.
    """
    plain = json.loads(text)
    if not isinstance(plain, dict) or plain.pop("seal", None) != _seal(plain):
        raise ValueError("the hash of these values is another one")
    return plain


def _seal(plain: dict[str, Any]) -> str:
    return xxhash.xxh3_64_hexdigest(json.dumps(plain, sort_keys=True).encode())


def _remove_left_over(folder: Path, mark: str) -> None:
    """Remove what processes of this machine that are gone (or had this one's number) were filling."""
    for path in folder.glob(f"{mark}*"):
        number = path.name.removeprefix(mark)
        if number == str(os.getpid()) or not Path("/proc", number).exists():
            shutil.rmtree(path, ignore_errors=True)


def _put(new: Path, final: Path, files: dict[str, tuple[int, str]]) -> None:
    """Move a folder to its place. The same in the same place stays, since another run may be reading it."""
    while True:
        try:
            new.rename(final)
            return
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
        there = _facts_if_whole(final)
        if there is not None and {name: tuple(noted) for name, noted in there["files"].items()} == files:
            shutil.rmtree(new)
            return
        aside = new.with_name(f"{new.name}.old")
        with suppress(FileNotFoundError):  # another run was faster
            final.rename(aside)
        shutil.rmtree(aside, ignore_errors=True)


@cache
def _boot() -> str:
    """What tells this start of the machine from every other."""
    return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def _stamp(path: Path) -> str:
    """Equal for a file that nobody wrote to since: its bytes needn't be hashed again.

    It doesn't outlive the machine's running: what a power cut tears can keep its size and times.
    """
    stat = path.stat()
    return f"{_boot()}/{stat.st_dev}/{stat.st_ino}/{stat.st_size}/{stat.st_mtime_ns}"


def _noted(path: Path) -> tuple[int, str]:
    """(size, xxh3_64) of a file."""
    digest = xxhash.xxh3_64()
    with path.open("rb") as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
    return path.stat().st_size, digest.hexdigest()


def write_array(path: Path, values: NDArray[Any]) -> None:
    """Write an array of numbers as `.npy`, without pickle."""
    fault("write")
    values = np.ascontiguousarray(values)
    with path.open("wb") as handle:
        np.lib.format.write_array_header_1_0(handle, np.lib.format.header_data_from_array_1_0(values))
        # numpy's own way to write doesn't say why the disk refused.
        handle.write(values.view(np.uint8).data if values.size else b"")


def read_array(path: Path) -> NDArray[Any]:
    """Read an array that `write_array` wrote."""
    with path.open("rb") as handle:
        values: NDArray[Any] = np.lib.format.read_array(handle, allow_pickle=False)
    return values
