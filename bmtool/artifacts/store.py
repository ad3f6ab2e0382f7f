"""The store: immutable artifacts by fingerprint, and names that point at them.

runs/store/pretrain-77c0a1b2c3d4/              a finished artifact, never changed once there
runs/store/.pretrain-77c0a1b2c3d4.partial/     work that isn't finished; the same command goes on in it
runs/reviews/pretrain -> ../store/pretrain-77c0a1b2c3d4
"""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING

from bmtool.artifacts.faults import fault
from bmtool.artifacts.files import fsync_file, fsync_folder, mapped, sha256_of_ends, tree_files, write_text
from bmtool.artifacts.hashes import HashCache
from bmtool.artifacts.lock import is_held, locked
from bmtool.artifacts.manifest import MANIFEST, RESUME, Artifact, FileEntry, Manifest, read_manifest
from bmtool.artifacts.names import switch
from bmtool.errors import DataError, MissingInputError, TryAgainError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

#: Characters of a fingerprint in a folder's name: 48 bits, and the whole one is compared before a folder is used.
SHORT = 12


@dataclass(frozen=True)
class Place:
    """Where one artifact goes."""

    store: Path
    stage: str
    fingerprint: str

    @property
    def name(self) -> str:
        """`pretrain-77c0a1b2c3d4`."""
        return f"{self.stage}-{self.fingerprint[:SHORT]}"

    @property
    def folder(self) -> Path:
        """The finished artifact."""
        return self.store / self.name

    @property
    def partial(self) -> Path:
        """The unfinished one."""
        return self.store / f".{self.name}.partial"

    @property
    def lock(self) -> Path:
        """The lock file of its maker."""
        return self.store / f".{self.name}.lock"

    @property
    def old(self) -> Path:
        """An artifact on its way out."""
        return self.store / f".{self.name}.old"


#: Below the store's folder: work that later runs can take up, such as the rows of a file that hasn't changed.
CACHE = ".cache"


class Store:
    """All artifacts below one output folder."""

    def __init__(self, root: Path) -> None:
        """`root` is the `output_dir` of a configuration; it is made when something is written."""
        self.root = root
        self.folder = root / "store"
        self.hashes = HashCache(self.folder / ".hashes")
        self.cache = self.folder / CACHE

    def hashes_of_raw(self, files: Sequence[tuple[str, Path]], *, is_smoke: bool) -> dict[str, str]:
        """By name what raw files are known by: the sha256; for a smoke run, which reads little of them, of their ends.

        Files are hashed on all processors at once.
        """
        stop = Event()
        hash_of = sha256_of_ends if is_smoke else partial(self.hashes.sha256, stop=stop)
        with ThreadPoolExecutor(os.cpu_count()) as threads:  # they read, or work outside of Python's lock
            try:
                hashes = threads.map(hash_of, [path for _, path in files])
                return {name: sha256 for (name, _), sha256 in zip(files, hashes, strict=True)}
            finally:
                stop.set()  # after Ctrl-C nobody waits for the end of a large file

    def must_exist(self) -> None:
        """Raise MissingInputError if nothing was ever made here."""
        if not self.folder.is_dir():
            raise MissingInputError(f"{self.root}: nothing has been made here yet ({self.folder} doesn't exist)")

    def place(self, stage: str, fingerprint: str) -> Place:
        """Where the artifact of this fingerprint goes."""
        return Place(self.folder, stage, fingerprint)

    def find(self, place: Place) -> Artifact | None:
        """The finished artifact, or None. Its files aren't looked at: see `verify`."""
        if not place.folder.is_dir():
            return None
        if not (place.folder / MANIFEST).exists():
            raise DataError(f"{place.folder}: its manifest ({MANIFEST}) is gone. Make the artifact again with --force")
        manifest = read_manifest(place.folder)
        if manifest.fingerprint != place.fingerprint:
            raise DataError(
                f"{place.folder}: holds another artifact ({manifest.fingerprint}) than its name says "
                f"({place.fingerprint})"
            )
        return Artifact(place.folder, manifest.kind, manifest.fingerprint, manifest)

    # ---------------------------------------------------------------- commit

    def begin(self, place: Place, *, fresh: bool) -> bool:
        """Make the partial folder; True if it holds the work of an earlier run. `fresh` throws that away."""
        if place.old.exists():
            shutil.rmtree(place.old)
        if fresh and place.partial.exists():
            shutil.rmtree(place.partial)
        resumed = place.partial.exists() and any(place.partial.iterdir())
        place.partial.mkdir(parents=True, exist_ok=True)
        return resumed

    def is_complete(self, place: Place) -> bool:
        """Whether an earlier run wrote everything, manifest included, and was killed before the rename."""
        if not (place.partial / MANIFEST).exists():
            return False
        manifest = read_manifest(place.partial)
        return all(
            (place.partial / name).is_file() and self.hashes.sha256(place.partial / name, ours=True) == entry.sha256
            for name, entry in manifest.files.items()
        )

    def _synced_hash(self, path: Path) -> str:
        fsync_file(path)
        return self.hashes.sha256(path, ours=True)

    def entries(self, place: Place) -> dict[str, FileEntry]:
        """Sync and hash every file of the partial folder that will belong to the artifact."""
        listed = []
        for path in tree_files(place.partial):
            name = path.relative_to(place.partial)
            if name.parts[0] == RESUME or str(name) == MANIFEST:
                continue
            if name.name.startswith(".") and name.name.endswith(".new"):
                path.unlink()
                continue
            listed.append(path)
        entries = {}
        with ThreadPoolExecutor(os.cpu_count()) as threads:  # both wait or work outside of Python's lock
            hashes = threads.map(self._synced_hash, listed)
            for path, sha256 in zip(listed, hashes, strict=True):
                rows = _arrow_rows(path) if path.suffix == ".arrow" else None
                entries[str(path.relative_to(place.partial))] = FileEntry(path.stat().st_size, sha256, rows)
        for folder in sorted({path.parent for path in tree_files(place.partial)}):
            fsync_folder(folder)
        fault("commit:synced")
        return entries

    def commit(self, place: Place, manifest: Manifest) -> Artifact:
        """Write the manifest last, then put the folder in its place."""
        write_text(place.partial / MANIFEST, manifest.to_json())
        fault("commit:manifest")
        return self.finish(place)

    def finish(self, place: Place) -> Artifact:
        """Put a complete partial folder in its place; a forced one replaces the artifact that was there."""
        if (place.partial / RESUME).exists():
            shutil.rmtree(place.partial / RESUME)
        fsync_folder(place.partial)
        fault("commit:cleaned")
        if place.folder.exists():
            place.folder.rename(place.old)
            fault("commit:moved")
        place.partial.rename(place.folder)
        fault("commit:renamed")
        fsync_folder(self.folder)
        if place.old.exists():
            shutil.rmtree(place.old)
        artifact = self.find(place)
        if artifact is None or artifact.manifest is None:
            raise AssertionError(f"{place.folder} is gone right after its rename")
        for name, entry in artifact.manifest.files.items():
            self.hashes.remember(place.folder / name, entry.sha256)
        return artifact

    def tidy(self, place: Place) -> None:
        """Remove what a run that was killed after its commit left behind."""
        if place.old.exists():
            shutil.rmtree(place.old)
        if place.lock.exists() and not is_held(place.lock):
            with suppress(TryAgainError), locked(place.lock):
                pass

    def remove(self, folder: Path) -> bool:
        """Remove an artifact or unfinished work; False if a running process is at it. Half of it never looks whole."""
        name = folder.name.removeprefix(".").removesuffix(".partial").removesuffix(".old")
        try:
            with locked(self.folder / f".{name}.lock"):
                going = self.folder / f".{name}.old"
                if folder != going:
                    if going.exists():
                        shutil.rmtree(going)
                    folder.rename(going)
                    fault("clean:moved")
                shutil.rmtree(going)
        except TryAgainError:
            return False
        return True

    # ---------------------------------------------------------------- names

    def link(self, name: str, artifact: Artifact) -> bool:
        """Let `root/name` (such as `reviews/prepare/corpus`) point at the artifact; True if it pointed elsewhere."""
        return switch(self.root, name, artifact.folder)

    def named(self, name: str) -> Artifact | None:
        """What a name points at, or None."""
        path = self.root / name
        return open_artifact(path) if (path / MANIFEST).exists() else None

    def names(self) -> Iterator[tuple[str, Path]]:
        """(name, link target) of every link below the root."""
        beside = [path for path in self.root.iterdir() if path != self.folder] if self.root.is_dir() else []
        for path in sorted(one for top in beside for one in [top, *top.rglob("*")]):
            if path.is_symlink():
                yield str(path.relative_to(self.root)), Path(os.path.realpath(path))  # a circle of links is one, too

    # ---------------------------------------------------------------- verification

    def verify(self, artifact: Artifact) -> None:
        """Compare the files with the manifest: sizes always, hashes where a file changed since it was last hashed.

        Raises:
            DataError: a listed file is missing or differs; it is named.
        """
        for problem in problems(artifact, partial(self.hashes.sha256, ours=True)):
            raise DataError(f"{problem}. Make the artifact again with --force")


def problems(artifact: Artifact, hash_of: Callable[[Path], str]) -> Iterator[str]:
    """What is wrong with an artifact's files, one after the other, by its manifest; `hash_of` gives a file's sha256."""
    for name, entry in artifact.manifest.files.items() if artifact.manifest else ():
        path = artifact.folder / name
        size = path.stat().st_size if path.is_file() else None
        if size is None:
            yield f"{path}: the file is missing"
        elif size != entry.size:
            yield f"{path}: {size:,} bytes, but the manifest says {entry.size:,}"
        elif hash_of(path) != entry.sha256:
            yield f"{path}: its bytes changed since they were written (sha256 differs)"


def open_artifact(folder: Path) -> Artifact:
    """An artifact by its path, through links.

    Raises:
        MissingInputError: the folder isn't there or has no manifest.
    """
    if not folder.is_dir():
        what = "this is a file; an artifact is a folder" if folder.exists() else "there is no such folder"
        raise MissingInputError(f"{folder}: {what}")
    manifest = read_manifest(folder)
    return Artifact(Path(os.path.realpath(folder)), manifest.kind, manifest.fingerprint, manifest)


def _arrow_rows(path: Path) -> int:
    import pyarrow as pa

    with pa.ipc.open_stream(mapped(path)) as stream:
        return sum(batch.num_rows for batch in stream)
