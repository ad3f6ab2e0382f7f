"""`bmtool status`: names, artifacts, sizes, ages, unfinished work and who is at it."""

from __future__ import annotations

import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from bmtool.artifacts.files import tree_bytes
from bmtool.artifacts.lock import is_held, owner
from bmtool.artifacts.manifest import MANIFEST
from bmtool.artifacts.store import CACHE, Store
from bmtool.artifacts.temporary import left_over
from bmtool.console import json_text, size_text

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Entry:
    """One folder of the store."""

    artifact: str
    names: list[str]
    size_bytes: int
    age_seconds: float
    state: str
    """`finished`, `partial`, `running: process 12 on ...`; and what is no artifact: `cache`, which later runs take up,
    and `left over`, a killed run's temporary folder by its path"""


def status(output_dir: Path, *, as_json: bool) -> int:
    """Print the store as a table, or as JSON."""
    found = entries(Store(output_dir))
    if as_json:
        print(json_text({"command": "status", "exit_code": 0, "results": [asdict(entry) for entry in found]}))  # noqa: T201
        return 0
    for entry in found:
        names = ", ".join(entry.names) or "-"
        size, age = size_text(entry.size_bytes), age_text(entry.age_seconds)
        print(f"{entry.artifact:24} {size:>9} {age:>8}  {entry.state:10} {names}")  # noqa: T201  # the result
    return 0


def entries(store: Store) -> list[Entry]:
    """Every artifact and every partial one, the newest last.

    Raises:
        MissingInputError: there is no store.
    """
    store.must_exist()
    names: dict[str, list[str]] = {}
    for name, target in store.names():
        names.setdefault(target.name, []).append(name)
    found = []
    for folder in store.folder.iterdir():
        with suppress(FileNotFoundError):  # a run commits or removes it just now
            found += _of_store(store, folder, names.get(folder.name, []))
    if store.cache.is_dir():
        found.append(Entry(CACHE, [], tree_bytes(store.cache), _age(store.cache), "cache"))
    for folder in [*left_over(), *left_over(store.root)]:
        with suppress(FileNotFoundError):
            found.append(Entry(str(folder), [], tree_bytes(folder), _age(folder), "left over"))
    return sorted(found, key=lambda entry: (-entry.age_seconds, entry.artifact))


def _of_store(store: Store, folder: Path, names: list[str]) -> list[Entry]:
    """The entry of an artifact or of a partial one; nothing of anything else."""
    is_partial = folder.name.endswith(".partial")
    if not folder.is_dir() or not (is_partial or (folder / MANIFEST).exists()):
        return []
    artifact = folder.name.removeprefix(".").removesuffix(".partial")
    lock = store.folder / f".{artifact}.lock"
    state = f"running: {owner(lock)}" if is_held(lock) else "partial" if is_partial else "finished"
    return [Entry(artifact, names, tree_bytes(folder), _age(folder), state)]


def _age(folder: Path) -> float:
    return time.time() - folder.stat().st_mtime


def age_text(age_seconds: float) -> str:
    """`3 h`."""
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60)):
        if age_seconds >= length:
            return f"{age_seconds / length:.0f} {unit}"
    return f"{age_seconds:.0f} s"
