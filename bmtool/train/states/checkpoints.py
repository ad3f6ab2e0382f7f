"""Saved states of a run: whole or not there, verified before use, the last two kept.

`checkpoints/step-00000500/` holds `model.safetensors` (float32 masters), `optimizer.safetensors`, where a best model is
chosen `best.safetensors`, `state.json`, and `manifest.json` with the size and sha256 of each. It is written under
another name, synced and renamed. Tensors are copied in the training thread; the writing goes on beside the next steps.
"""

from __future__ import annotations

import errno
import json
import shutil
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from bmtool.artifacts.faults import fault
from bmtool.artifacts.files import fsync_file, fsync_folder, link_or_copy, sha256_of, write_json
from bmtool.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torch import Tensor

    from bmtool.console import Console
    from bmtool.train.machine.world import World

KEPT = 2
MODEL, OPTIMIZER, BEST = "model.safetensors", "optimizer.safetensors", "best.safetensors"
_MANIFEST = "manifest.json"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS)


@dataclass(frozen=True)
class Saved:
    """A verified state."""

    step: int
    folder: Path
    state: dict[str, Any]

    @property
    def label(self) -> str:
        """What it is called in a message."""
        return f"step {self.step:,}"

    def tensors(self, name: str) -> Mapping[str, Tensor]:
        """The tensors of one file, such as `model.safetensors`, each read when asked for; {} if it isn't there."""
        path = self.folder / name
        return _Tensors(path) if path.exists() else {}


class _Tensors(Mapping[str, "Tensor"]):
    """A file of tensors. It may be removed meanwhile: it stays open."""

    def __init__(self, path: Path) -> None:
        self._file = safe_open(path, framework="pt")
        self._names: tuple[str, ...] = tuple(self._file.keys())  # type: ignore[no-untyped-call]

    def __getitem__(self, name: str) -> Tensor:
        tensor: Tensor = self._file.get_tensor(name)  # type: ignore[no-untyped-call]
        return tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


@contextmanager
def storage_errors(what: str) -> Iterator[None]:
    """Turn a full disk or a device error into a StorageError."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise StorageError(
            f"{what}: {error.strerror}. The last good state is kept; free some space and rerun"
        ) from error
    except SafetensorError as error:
        # safetensors reports a failed write as text: "I/O error: No space left on device (os error 28)".
        if not any(f"(os error {number})" in str(error) for number in _FULL):
            raise
        raise StorageError(f"{what}: {error}. The last good state is kept; free some space and rerun") from error


def space_needed(num_weights: int, *, keeps_best: bool) -> int:
    """Bytes on the disk for the states and the final model.

    A state holds weights and two moments in float32, and with a best model one more copy; for a moment there are
    `KEPT` + 1 of them. The final model is one copy.
    """
    return 4 * num_weights * ((3 + keeps_best) * (KEPT + 1) + 1)


def check_space(folder: Path, num_weights: int, *, keeps_best: bool) -> None:
    """Make sure, before the first step, that the states and the final model fit on the disk.

    Raises:
        StorageError: they don't fit.
    """
    needed = space_needed(num_weights, keeps_best=keeps_best)
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < needed:
        raise StorageError(
            f"{folder}: training needs {needed / 1e6:,.0f} MB for its saved states and the model, "
            f"and {free / 1e6:,.0f} MB are free"
        )


@dataclass
class Checkpoints:
    """The saved states in one folder, and the thread that writes the next one."""

    folder: Path
    console: Console
    writes: bool = True
    """Whether this process writes the states; the others only note which there are."""
    last_step: int = -1
    writer: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "checkpoint"))
    writing: Future[None] | None = None

    def newest(self, world: World, before: int | None = None) -> Saved | None:
        """The newest state that verifies (of those before a step), the same on all processes; the first one looks."""
        found = self._newest(before) if world.is_first else None
        step = world.told(None if found is None else found.step)
        if found is None and step is not None:
            folder = self.folder / _name(step)
            found = Saved(step, folder, json.loads((folder / "state.json").read_text(encoding="utf-8")))
        if found is not None:
            self.last_step = found.step
        return found

    def _newest(self, before: int | None) -> Saved | None:
        """The same; damaged states are put aside under another name, and said."""
        self.folder.mkdir(parents=True, exist_ok=True)
        for unfinished in self.folder.glob(".step-*"):
            shutil.rmtree(unfinished)
        for folder in sorted(self.folder.glob("step-*"), reverse=True):
            if before is not None and folder.name >= _name(before):
                continue
            problem = _problem(folder)
            if not problem:
                state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
                return Saved(int(state["step"]), folder, state)
            aside = folder.with_name(f"quarantine-{folder.name}")
            shutil.rmtree(aside, ignore_errors=True)
            folder.rename(aside)
            self.console.warn(f"saved state {folder.name} is damaged ({problem}); it is put aside as {aside.name}")
        return None

    def save(self, state: Mapping[str, Any], files: Mapping[str, dict[str, Tensor]]) -> None:
        """Start to write a state; tensors must be copies.

        A file that didn't change since the last state (`best.safetensors`) is left out of `files`, and linked.

        Raises:
            StorageError: this or the one before could not be written.
        """
        self.finish()
        self.last_step = int(state["step"])
        if not self.writes:
            return
        self.writing = self.writer.submit(self._write, dict(state), dict(files))

    def finish(self) -> None:
        """Wait until the last state is on the disk.

        Raises:
            StorageError: it could not be written.
        """
        if self.writing is not None:
            writing, self.writing = self.writing, None
            writing.result()

    def close(self) -> None:
        """Wait for the writing thread, whatever comes of it: nobody may write into the folder once the run is over."""
        self.writer.shutdown(wait=True)

    def check(self) -> None:
        """Raise what the writing thread ran into, without waiting for it."""
        if self.writing is not None and self.writing.done():
            self.finish()

    def _write(self, state: dict[str, Any], files: dict[str, dict[str, Tensor]]) -> None:
        with storage_errors(f"{self.folder}: a state could not be saved"):
            self._write_whole(state, files)

    def _write_whole(self, state: dict[str, Any], files: dict[str, dict[str, Tensor]]) -> None:
        final = self.folder / _name(state["step"])
        partial = self.folder / f".{final.name}"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        for name, tensors in files.items():
            fault("write")
            save_file(tensors, partial / name)
            fsync_file(partial / name)
        older = sorted(self.folder.glob("step-*"))
        if state.get("best") and BEST not in files:
            link_or_copy(older[-1] / BEST, partial / BEST)
        write_json(partial / "state.json", state)
        names = sorted(path.name for path in partial.iterdir())
        write_json(partial / _MANIFEST, {"files": {name: _entry(partial / name) for name in names}})
        fsync_folder(partial)
        fault("save:written")
        if final.exists():
            shutil.rmtree(final)
        partial.rename(final)
        fsync_folder(self.folder)
        fault("save:renamed")
        spared = _before_trouble(older, state)
        for folder in [folder for folder in older if folder not in (final, spared)][: 1 - KEPT]:
            hidden = folder.rename(folder.with_name(f".{folder.name}"))  # half a state must not look like one
            shutil.rmtree(hidden)


def _before_trouble(older: list[Path], state: Mapping[str, Any]) -> Path | None:
    """The state that weights would go back to if the trouble that has begun goes on."""
    bad = state.get("bad_steps")
    before = [folder for folder in older if bad and folder.name < _name(bad[0])]
    return before[-1] if before else None


def _name(step: int) -> str:
    return f"step-{step:08d}"


def _entry(path: Path) -> dict[str, Any]:
    return {"size": path.stat().st_size, "sha256": sha256_of(path)}


def _problem(folder: Path) -> str:
    """What is wrong with a saved state; empty if nothing is."""
    try:
        files = json.loads((folder / _MANIFEST).read_text(encoding="utf-8"))["files"]
        for name, entry in files.items():
            path = folder / name
            if path.stat().st_size != entry["size"]:
                return f"{name} has {path.stat().st_size} bytes, not {entry['size']}"
            if sha256_of(path) != entry["sha256"]:
                return f"{name} has other bytes than were written"
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"{_MANIFEST}: {type(error).__name__}: {error}"
    return "" if "state.json" in files else "state.json is missing"
