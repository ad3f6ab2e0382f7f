"""numba, with compiled kernels kept in a folder that belongs to this very state of the source.

numba keeps a kernel by the bytes of its own file. A function that it calls from another file may be another one since
(an upgrade, a `git pull`), and the kernel would go on as it was compiled: wrong, and silent about it. So every module
with kernels takes numba from here.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import time
from pathlib import Path

import numba as nb

#: What each folder of kernels is called, with a hash of the source behind it.
NAME = "kernels-"

#: Kernels of another state of the source are removed after so many days: another process may still use them.
_KEPT_DAYS = 7


def source_key() -> str:
    """A hash of all Python files from which kernels are made."""
    package = Path(__file__).parent.parent
    digest = hashlib.sha256()
    for path in sorted([*package.joinpath("data").rglob("*.py"), *package.joinpath("train").glob("*.py")]):
        digest.update(f"{path.relative_to(package)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def kernel_folder(bases: list[Path]) -> Path:
    """The folder for this source in the first base that can be written; a temporary one of this process if none can.

    A shared folder such as /tmp won't do: numba's files can run code when they are read.
    """
    for base in bases:
        folder = base / f"{NAME}{source_key()}"
        try:
            is_new = not folder.exists()
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            continue
        if os.access(folder, os.W_OK):
            if is_new:
                _remove_old(base)
            return folder
    return Path(tempfile.mkdtemp(prefix="bmtool-kernels-"))


def _remove_old(base: Path) -> None:
    for folder in base.glob(f"{NAME}*"):
        if time.time() - folder.stat().st_mtime > _KEPT_DAYS * 86_400:
            shutil.rmtree(folder, ignore_errors=True)  # what can't be removed is no harm


def _bases() -> list[Path]:
    asked = os.environ.get("NUMBA_CACHE_DIR")
    if asked:
        return [Path(asked)]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return [Path(__file__).parent / "__pycache__", cache / "bmtool"]


nb.config.CACHE_DIR = str(kernel_folder(_bases()))  # type: ignore[attr-defined]

__all__ = ["NAME", "kernel_folder", "nb", "source_key"]
