"""Find and read the files of a Hugging Face dataset: in a folder, or in the hub's cache."""

from __future__ import annotations

import glob
import json
import re
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from bmtool.artifacts.files import mapped
from bmtool.config.variables import expand
from bmtool.contracts import Piece
from bmtool.data.readers.buffer import wanted
from bmtool.data.readers.files import check_inside, files_in
from bmtool.data.readers.nested import columns_of, names_of
from bmtool.data.readers.parquet import PIECE_BYTES
from bmtool.data.readers.typed import named, naming, to_our_columns
from bmtool.data.readers.unpack import inner_suffix
from bmtool.data.rows import missing_columns
from bmtool.errors import DataError, MissingInputError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bmtool.contracts import Reading

#: Words in the names of files and folders that say which split they are, as `datasets` reads them.
_SPLIT_WORDS = {
    "train": "train training",
    "validation": "validation valid val dev",
    "test": "test testing eval evaluation",
}

#: Files that are data wherever they lie; `.json` and `.txt` may be notes beside it, and are read where they are named.
SUFFIXES = (".parquet", ".jsonl", ".ndjson", ".csv", ".tsv")
NAMED_SUFFIXES = (*SUFFIXES, ".json", ".txt")


def split_files(path: str, split: str, patterns: Sequence[str] = ()) -> list[tuple[str, Path]]:
    """(name below the folder, path) of the files of a split, or of those that match `patterns`, sorted.

    Raises:
        MissingInputError: there is no such folder, or no such split in it, or nothing matches.
        RefusedError: a file lies outside of the folder.
        DataError: the files are of several formats, or of one that isn't read.
    """
    folder = Path(expand(path))
    if folder.is_file() and not patterns:
        chosen([folder.name], split, [glob.escape(folder.name)], str(folder))
        return [(folder.name, folder)]
    if not folder.is_dir():
        raise MissingInputError(f"{folder}: there is no such folder (relative to {Path.cwd()})")
    # The hub's cache keeps a folder of links for each revision, to files beside it.
    root = folder.parent.parent if folder.resolve().parent.name == "snapshots" else folder
    if not patterns and (folder / "dataset_dict.json").is_file():
        splits = _json(folder / "dataset_dict.json").get("splits", [])
        if split not in splits:
            raise MissingInputError(f"{folder}: there is no split '{split}'. Its splits are: {', '.join(splits)}")
        return _saved(folder, f"{split}/", root)
    if not patterns and (folder / "state.json").is_file():
        return _saved(folder, "", root)
    files = dict(files_in(folder, () if patterns else SUFFIXES, root=root))
    return [(name, files[name]) for name in chosen(list(files), split, patterns, str(folder))]


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise MissingInputError(f"{path}: there is no such file. The dataset is damaged") from None
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise DataError(f"{path}: this isn't a JSON object. The dataset is damaged")
    return found


def _saved(folder: Path, below: str, root: Path) -> list[tuple[str, Path]]:
    """What `save_to_disk` listed; `datasets` puts other files beside them."""
    state = folder / below / "state.json"
    try:
        names = [str(one["filename"]) for one in _json(state)["_data_files"]]
    except (KeyError, TypeError):
        raise DataError(f"{state}: it lists no files. The dataset is damaged") from None
    for name in names:
        if Path(name).name != name:
            raise RefusedError(f"{folder / below}: state.json names a file outside of the folder: {name!r}")
        path = folder / below / name
        if not path.is_file():
            raise MissingInputError(f"{path}: there is no such file, and state.json names it. The dataset is damaged")
        check_inside(path, root.resolve())
    return sorted((below + name, folder / below / name) for name in names)


def chosen(names: Sequence[str], split: str, patterns: Sequence[str], where: str) -> list[str]:
    """Those of a dataset's files that are read, sorted: all that match one of `patterns`, without any those of `split`.

    Raises:
        MissingInputError: there is none.
        DataError: they are of several formats, or of one that isn't read.
    """
    visible = [name for name in names if not any(part.startswith(".") for part in name.split("/"))]
    found = _matching(visible, patterns, where) if patterns else _of_split(visible, split, where)
    endings = sorted({inner_suffix(Path(name)) for name in found})
    unread = sorted(set(endings) - set(NAMED_SUFFIXES))
    if unread:
        raise DataError(f"{where}: {unread[0]} files aren't read. Name files that end with {', '.join(NAMED_SUFFIXES)}")
    if len(endings) > 1:
        raise DataError(
            f"{where}: there are files of several formats: {', '.join(endings)}. Name one of them in 'files'"
        )
    return found


def _of_split(names: Sequence[str], split: str, where: str) -> list[str]:
    by_split: dict[str, list[str]] = {}
    for name in names:
        if inner_suffix(Path(name)) in SUFFIXES:
            by_split.setdefault(_split_of(name), []).append(name)
    if not by_split:
        raise MissingInputError(f"{where}: there is no file that ends with {', '.join(SUFFIXES)}. Name some in 'files'")
    if split not in by_split:
        raise MissingInputError(f"{where}: there is no split '{split}'. Its splits are: {', '.join(sorted(by_split))}")
    return sorted(by_split[split])


def _matching(names: Sequence[str], patterns: Sequence[str], where: str) -> list[str]:
    found = set[str]()
    for pattern in patterns:
        matches = [name for name in names if _matches(name.split("/"), pattern.split("/"))]
        if not matches:
            some = ", ".join(sorted(names)[:5]) + (", ..." if len(names) > 5 else "")
            raise MissingInputError(f"{where}: no file matches '{pattern}'. Its files are: {some}")
        found.update(matches)
    return sorted(found)


def _matches(parts: Sequence[str], pattern: Sequence[str]) -> bool:
    """As `glob` matches: `*` inside a part of the path, `**` over any number of them."""
    if not pattern:
        return not parts
    if pattern[0] == "**":
        return any(_matches(parts[skip:], pattern[1:]) for skip in range(len(parts) + 1))
    return bool(parts) and fnmatchcase(parts[0], pattern[0]) and _matches(parts[1:], pattern[1:])


def chosen_on_hub(names: Sequence[str], split: str, patterns: Sequence[str], where: str) -> list[str]:
    """As `chosen`; a split without patterns is of one folder: several hold different things, or terabytes.

    Raises:
        MissingInputError, DataError: see `chosen`.
        DataError: the split lies in several folders.
    """
    found = chosen(names, split, patterns, where)
    folders = sorted({name.rpartition("/")[0] for name in found})
    if len(folders) > 1 and not patterns:
        some = ", ".join(folder or "(the top)" for folder in folders[:5]) + (", ..." if len(folders) > 5 else "")
        raise DataError(
            f"{where}: its split '{split}' lies in {len(folders)} folders: {some}. "
            f"Say which files with 'files', such as '{folders[-1]}/*'; all of them are '**/*{Path(found[0]).suffix}'"
        )
    return found


def _split_of(name: str) -> str:
    """The split that the last part of a path with such a word means; `train` where none has one."""
    for part in reversed(name.split("/")):
        words = set(re.split(r"[^a-z]+", part.lower()))
        for split, known in _SPLIT_WORDS.items():
            if words.intersection(known.split()):
                return split
    return "train"


def labels_of(schema: pa.Schema) -> dict[str, pa.Array]:
    """The names behind the numbers of the columns that `datasets` calls ClassLabel, or lists of them."""
    try:
        features = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
        given = {name: one.get("feature", one) for name, one in features.items() if isinstance(one, dict)}
        return {
            name: pa.array(one["names"], pa.string())
            for name, one in given.items()
            if isinstance(one, dict) and one.get("_type") == "ClassLabel"
        }
    except (KeyError, TypeError, AttributeError, ValueError, pa.ArrowInvalid):
        return {}  # written by something else: numbers stay numbers


@contextmanager
def _opened(path: Path) -> Iterator[pa.RecordBatchReader]:
    with naming(path, "Arrow"):
        reader = pa.ipc.open_stream(mapped(path))
    with reader:
        yield reader


def _batches(reader: pa.RecordBatchReader, path: Path) -> Iterator[pa.RecordBatch]:
    for batch in named(path, "Arrow", reader):
        with naming(path, "Arrow"):
            batch.validate()  # a damaged file may point behind its own end
        yield batch


def cut_arrow(name: str, path: Path, sha256: str) -> Iterator[Piece]:
    """Pieces of whole record batches, each of about 64 MiB, or of one that is larger.

    Raises:
        MissingInputError: the file isn't there.
        DataError: it is damaged.
    """
    with _opened(path) as reader:
        start, first, size, rows, index = 0, 1, 0, 0, 0
        for index, batch in enumerate(_batches(reader, path), 1):
            if size and size + batch.nbytes > PIECE_BYTES:
                yield Piece(name, path, f"{sha256}-{start}-{index - 1}", size, first, part=(start, index - 1))
                start, first, size, rows = index - 1, first + rows, 0, 0
            size += batch.nbytes
            rows += batch.num_rows
        yield Piece(name, path, f"{sha256}-{start}-{index}", size, first, part=(start, index))


def read_arrow(piece: Piece, reading: Reading) -> Iterator[pa.RecordBatch]:
    """Batches from some record batches of a file; a row's place is its number from 1.

    Raises:
        MissingInputError: the file isn't there.
        DataError: it is damaged, lacks a column, or has one of another type.
    """
    start, end = piece.part or (0, None)
    with _opened(piece.path) as reader:
        with naming(piece.path, "Arrow"):
            names = list(names_of(reader.schema))
        missing = set(wanted(reading)) - set(names)
        if missing:
            raise missing_columns(piece.path, missing, names, reading.columns)
        labels, first = labels_of(reader.schema), piece.first
        for index, batch in enumerate(_batches(reader, piece.path)):
            if end is not None and index >= end:
                break
            if index >= start:
                yield from to_our_columns(
                    columns_of(batch, wanted(reading)), np.arange(first, first + batch.num_rows), piece, reading, labels
                )
                first += batch.num_rows
