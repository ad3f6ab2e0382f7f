"""What `doctor` says of the disk: whether artifacts can be made there, how much is free, what the caches hold."""

from __future__ import annotations

import os
import shutil
import time
from typing import TYPE_CHECKING

from bmtool.artifacts.files import tree_bytes, write_text
from bmtool.artifacts.lock import is_held, locked
from bmtool.artifacts.store import Store
from bmtool.artifacts.temporary import temporary_folder
from bmtool.commands.doctor.finding import note, ok, problem
from bmtool.console import size_text
from bmtool.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bmtool.commands.doctor.finding import Finding

#: Less is soon full: a checkpoint of BERT base with its saved states takes 6 GB.
_LITTLE_BYTES = 5 * 10**9

#: A file's time and the clock may differ by this much.
_SKEW_SECONDS = 2.0


def disk(output_dir: Path) -> Iterator[Finding]:
    """The file system of the output folder, tried in a folder that is removed again; and bmtool's cache in it."""
    place = _nearest(output_dir)
    where = f"{output_dir}" if place == output_dir else f"{output_dir} (not there yet; {place})"
    if not place.is_dir():
        yield problem("output", f"{place} is no folder", "Set output_dir", exit_code=StorageError.exit_code)
        return
    try:
        with temporary_folder("doctor", inside=place) as folder:
            found = list(_tried(folder))
    except OSError as error:
        text = f"{where}: artifacts can't be made here: {(error.strerror or str(error)).lower()}"
        yield problem("output", text, "Set output_dir, or change its rights", exit_code=StorageError.exit_code)
        return
    yield from found or [ok("output", f"{where}: locks, atomic renames and links, and syncing work")]
    free = shutil.disk_usage(place).free
    said = f"{size_text(free)} free in {place}"
    if free < _LITTLE_BYTES:
        yield note("disk", said, "`bmtool run FILE --dry-run` says about how much a training needs")
    else:
        yield ok("disk", said)
    cache = Store(output_dir).cache
    if cache.is_dir():
        size = tree_bytes(cache)
        yield ok("cache", f"{size_text(size)} in {cache}; `bmtool clean` removes what no dataset needs")


def _nearest(folder: Path) -> Path:
    """The folder itself, or what of the way to it is there."""
    return next(one for one in (folder, *folder.absolute().parents) if os.path.lexists(one))


def _tried(folder: Path) -> Iterator[Finding]:
    """What fails of all that the store does: a lock that others see, a file renamed over another, a link switched."""
    code = StorageError.exit_code
    lock = folder / "try.lock"
    with locked(lock):
        if not is_held(lock):
            text = "this file system doesn't keep locks (flock): two runs could make the same artifact at once"
            yield problem("output", text, "Set output_dir to a local disk, or mount with locks", exit_code=code)
    for text in ("one", "another"):
        write_text(folder / "file", text)
    if (folder / "file").read_text(encoding="utf-8") != "another":
        yield problem("output", "a file that is renamed over another doesn't replace it", exit_code=code)
    for target in ("file", "try"):
        (folder / "new").symlink_to(target)
        (folder / "new").rename(folder / "link")
    if str((folder / "link").readlink()) != "try":
        yield problem("output", "a link that is renamed over another doesn't replace it", exit_code=code)
    skew = (folder / "file").stat().st_mtime - time.time()
    if abs(skew) > _SKEW_SECONDS:
        text = f"times of new files are {skew:+.0f} s from this machine's clock"
        yield note("output", text, "Set the clocks alike: ages in `bmtool status` are wrong by as much")
