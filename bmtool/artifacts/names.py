"""Names of artifacts: relative links, switched at once, so that a name always points at something whole."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from bmtool.artifacts.faults import fault
from bmtool.artifacts.files import fsync_folder
from bmtool.errors import StorageError

if TYPE_CHECKING:
    from pathlib import Path


def switch(root: Path, name: str, folder: Path) -> bool:
    """Let `root/name` (such as `reviews/prepare/corpus`) point at the folder; True if it pointed elsewhere.

    Raises:
        StorageError: a folder, or a file in place of one, is in the way; nothing of it is removed.
    """
    path = root / name
    target = os.path.relpath(folder.absolute(), path.parent.absolute())
    if path.is_symlink() and str(path.readlink()) == target:
        return False
    new = path.with_name(f".{path.name}.new")
    while True:
        _check_way(root, path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            new.unlink(missing_ok=True)
            new.symlink_to(target)
            fault("commit:linking")
            new.rename(path)
            break
        except (FileExistsError, FileNotFoundError):
            continue  # another run is switching the same name, and the later one wins; or the folder has just gone
    fsync_folder(path.parent)
    fault("commit:linked")
    return True


def _check_way(root: Path, path: Path) -> None:
    """Nothing stands where a name is to be, or folders on the way to it."""
    if path.is_dir() and not path.is_symlink():
        raise StorageError(
            f"{path}: a folder is where a name should be, which is a link. A copy that follows links leaves it so. "
            f"Move it away, and run the same command again"
        )
    above = [one for one in path.parents if root in one.parents and one.exists() and not one.is_dir()]
    if above:
        raise StorageError(
            f"{above[0]}: a file is where a folder should be. Move it away, and run the same command again"
        )
