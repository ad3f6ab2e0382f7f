"""Work on units that is kept on disk and taken up again: a folder a unit, whole and unchanged or not there at all."""

from __future__ import annotations

import errno
import json
import os
import shutil
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import xxhash

from bmtool.artifacts.faults import fault

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from numpy.typing import NDArray

FACTS = "facts.json"


@dataclass(frozen=True)
class Shelf:
    """A folder with one folder a key. What is in it was written by bmtool; a damaged or unfinished one is removed."""

    folder: Path

    def find(self, key: str) -> dict[str, Any] | None:
        """The facts noted with `key`, if everything kept under it is there and unchanged; marks it as used."""
        folder = self.path(key)
        try:
            facts: dict[str, Any] = json.loads((folder / FACTS).read_text(encoding="utf-8"))
            whole = all(_is_unchanged(folder / name, *noted) for name, noted in facts["files"].items())
        except (FileNotFoundError, ValueError, KeyError, TypeError):
            whole = False
        if not whole:
            shutil.rmtree(folder, ignore_errors=True)
            return None
        os.utime(folder)
        return facts

    def path(self, key: str) -> Path:
        """Where the files of `key` are."""
        return self.folder / key[:2] / key

    @contextmanager
    def filling(self, key: str) -> Iterator[tuple[Path, dict[str, Any]]]:
        """A new folder to write files into, and facts to fill in; kept under `key` when nothing was raised.

        No byte is synced: what a power cut tears is found by its hash, and made again.
        """
        final = self.path(key)
        new = final.with_name(f".{key}.{os.getpid()}")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir(parents=True)
        facts: dict[str, Any] = {}
        try:
            yield new, facts
            fault("write")
            facts["files"] = {path.name: _noted(path) for path in sorted(new.iterdir())}
            (new / FACTS).write_text(json.dumps(facts, ensure_ascii=False), encoding="utf-8")
            _put(new, final)
        except BaseException:
            shutil.rmtree(new, ignore_errors=True)
            raise


def _put(new: Path, final: Path) -> None:
    """Move a folder to its place; where another run was faster with the same, its work stays."""
    shutil.rmtree(final, ignore_errors=True)
    try:
        new.rename(final)
    except OSError as error:
        if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
        shutil.rmtree(new)


def _noted(path: Path) -> tuple[int, str]:
    """(size, xxh3_64) of a file."""
    digest = xxhash.xxh3_64()
    with path.open("rb") as handle:
        while block := handle.read(1 << 20):
            digest.update(block)
    return path.stat().st_size, digest.hexdigest()


def _is_unchanged(path: Path, size: int, digest: str) -> bool:
    return path.stat().st_size == size and _noted(path)[1] == digest


def write_array(path: Path, values: NDArray[Any]) -> None:
    """Write an array of numbers as `.npy`, without pickle."""
    fault("write")
    with path.open("wb") as handle:
        np.lib.format.write_array(handle, np.ascontiguousarray(values), allow_pickle=False)


def read_array(path: Path) -> NDArray[Any]:
    """Read an array that `write_array` wrote."""
    with path.open("rb") as handle:
        values: NDArray[Any] = np.lib.format.read_array(handle, allow_pickle=False)
    return values
