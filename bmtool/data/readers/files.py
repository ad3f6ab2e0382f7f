"""Find the raw files that a path, a folder or a pattern means, and nothing that lies outside of it."""

from __future__ import annotations

import glob
import os
import stat
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from bmtool.config.variables import expand
from bmtool.data.readers.stdin import STDIN, spooled
from bmtool.data.readers.unpack import PACKINGS
from bmtool.errors import DataError, MissingInputError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence


def find_files(patterns: Sequence[str], *, suffixes: tuple[str, ...] = ()) -> list[tuple[str, Path]]:
    """(stable name, path) of the files that paths, folders and globs mean, sorted by name; each file once.

    The name is the path below the folder or the glob's fixed part, so that it is the same wherever the data lies. Where
    two patterns give the same name, the pattern's number comes first. In a folder, files with one of `suffixes` count,
    also packed ones, at any depth; hidden ones don't, as in globs. `-` is standard input, called `stdin`.

    Raises:
        ConfigError: an environment variable is not set.
        MissingInputError: a pattern matches no file, or a link that leads nowhere.
        RefusedError: it matches something that is no file, or a link that leads outside.
        DataError: a file's name can't be printed.
    """
    found: dict[Path, tuple[int, str, Path]] = {}
    for number, pattern in enumerate(patterns):
        for name, path in _matches(expand(pattern), suffixes):
            found.setdefault(path.resolve(), (number, name, path))
    for _, name, _ in found.values():
        if not name.isprintable():  # bytes that aren't UTF-8 come as lone surrogates, which can't be written down
            raise DataError(f"{name!r}: a file's name holds characters that can't be printed. Rename it")
    times = Counter(name for _, name, _ in found.values())
    named = [(name if times[name] == 1 else f"{number}/{name}", path) for number, name, path in found.values()]
    if len({name for name, _ in named}) < len(named):  # a folder is called as a pattern's number
        named = [(f"{number}/{name}", path) for number, name, path in found.values()]
    return sorted(named)


def _matches(pattern: str, suffixes: tuple[str, ...]) -> list[tuple[str, Path]]:
    if pattern == STDIN:
        return [("stdin", spooled())]
    path = Path(pattern)
    if path.is_dir():
        return files_in(path, suffixes)
    if not glob.has_magic(pattern) or path.exists():
        if not path.exists():
            raise MissingInputError(f"{pattern}: there is no such file (relative to {Path.cwd()})")
        _check_kind(path)
        return [(path.name, path)]
    parts = path.parts
    fixed = Path(*parts[: next(i for i, part in enumerate(parts) if glob.has_magic(part))])
    paths = [Path(match) for match in glob.glob(pattern, recursive=True)]  # noqa: PTH207  (Path.glob takes no absolute pattern)
    files = _named([path for path in paths if not path.is_dir()], fixed, fixed.resolve())
    if not files:
        raise MissingInputError(f"{pattern}: no file matches (relative to {Path.cwd()})")
    return files


def files_in(folder: Path, suffixes: tuple[str, ...], *, root: Path | None = None) -> list[tuple[str, Path]]:
    """(path below the folder, path) of the files with one of `suffixes`, as `find_files` finds them.

    Links may lead to what lies below `root`, the folder itself by default.

    Raises:
        MissingInputError, RefusedError: as `find_files`.
    """
    root = (root or folder).resolve()
    endings = tuple(ending + packing for ending in suffixes for packing in ("", *PACKINGS))
    paths = [path for path in _below(folder, root) if not endings or path.name.lower().endswith(endings)]
    files = _named(paths, folder, root)
    if not files:
        wanted = f" that ends with {', '.join(suffixes)}" if suffixes else ""
        raise MissingInputError(f"{folder}: there is no file{wanted} in this folder (relative to {Path.cwd()})")
    return files


def _below(folder: Path, root: Path) -> Iterator[Path]:
    """All that isn't a folder, at any depth. Links to folders are followed no further than to see where they lead."""
    for place, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in folders:
            path = Path(place, name)
            if path.is_symlink():
                check_inside(path, root)
        yield from (Path(place, name) for name in names if not name.startswith("."))


def _named(paths: list[Path], fixed: Path, root: Path) -> list[tuple[str, Path]]:
    """Files with their names, shortest paths first: that of a file that is found twice, through a link, is its own."""
    for path in paths:
        if path.is_symlink() and not path.exists():
            raise MissingInputError(f"{path}: this link leads nowhere")
        check_inside(path, root)
        _check_kind(path)
    ordered = sorted(paths, key=lambda path: (path.is_symlink(), len(path.parts), path))
    return [(path.relative_to(fixed).as_posix(), path) for path in ordered]


def check_inside(path: Path, root: Path) -> None:
    """Raise RefusedError if a link leads outside of `root`, which is resolved."""
    if not path.resolve().is_relative_to(root):
        raise RefusedError(f"{path}: this link leads outside of {root}. Name what it leads to, if you mean it")


def _check_kind(path: Path) -> None:
    """Opening a pipe would wait for someone to write into it, and a device may have no end."""
    if not stat.S_ISREG(path.stat().st_mode):
        raise RefusedError(f"{path}: this is no regular file. To read from a pipe, use '-' for standard input")
