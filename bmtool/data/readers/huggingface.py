"""Find and read the files of a Hugging Face dataset that lies in a folder."""

from __future__ import annotations

import json
import re
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from bmtool.config.variables import expand
from bmtool.contracts import Piece
from bmtool.data.readers.buffer import wanted
from bmtool.data.readers.files import files_in
from bmtool.data.readers.parquet import PIECE_BYTES
from bmtool.data.readers.typed import named, naming, to_our_columns
from bmtool.data.readers.unpack import inner_suffix
from bmtool.data.rows import missing_columns
from bmtool.errors import DataError, MissingInputError, RefusedError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bmtool.contracts import Reading

#: Words in the names of files and folders that say which split they are, as `datasets` reads them.
_SPLIT_WORDS = {
    "train": "train training",
    "validation": "validation valid val dev",
    "test": "test testing eval evaluation",
}

SUFFIXES = (".parquet", ".jsonl", ".ndjson", ".csv", ".tsv")


def split_files(path: str, split: str) -> list[tuple[str, Path]]:
    """(name below the folder, path) of the files of a split, sorted.

    Raises:
        MissingInputError: there is no such folder, or no such split in it.
        RefusedError: a file lies outside of the folder.
        DataError: the folder holds files of several formats.
    """
    folder = Path(expand(path))
    if not folder.is_dir():
        raise MissingInputError(f"{folder}: there is no such folder (relative to {Path.cwd()})")
    if (folder / "dataset_dict.json").is_file():
        splits = _json(folder / "dataset_dict.json").get("splits", [])
        if split not in splits:
            raise MissingInputError(f"{folder}: there is no split '{split}'. Its splits are: {', '.join(splits)}")
        return _saved(folder, f"{split}/")
    if (folder / "state.json").is_file():
        return _saved(folder, "")
    return _in_layout(folder, split)


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except ValueError:
        raise DataError(f"{path}: this isn't JSON. The dataset is damaged") from None


def _saved(folder: Path, below: str) -> list[tuple[str, Path]]:
    """What `save_to_disk` listed; `datasets` puts other files beside them."""
    names = [one["filename"] for one in _json(folder / below / "state.json")["_data_files"]]
    for name in names:
        if Path(name).name != name:
            raise RefusedError(f"{folder / below}: state.json names a file outside of the folder: {name!r}")
    return sorted((below + name, folder / below / name) for name in names)


def _in_layout(folder: Path, split: str) -> list[tuple[str, Path]]:
    # The hub's cache keeps a folder of links for each revision, to files beside it.
    root = folder.parent.parent if folder.resolve().parent.name == "snapshots" else folder
    files = files_in(folder, SUFFIXES, root=root)
    by_split: dict[str, list[tuple[str, Path]]] = {}
    for name, path in files:
        by_split.setdefault(_split_of(name), []).append((name, path))
    if split not in by_split:
        raise MissingInputError(f"{folder}: there is no split '{split}'. Its splits are: {', '.join(sorted(by_split))}")
    found = sorted(by_split[split])
    endings = sorted({inner_suffix(path) for _, path in found})
    if len(endings) > 1:
        raise DataError(f"{folder}: there are files of several formats: {', '.join(endings)}. Name a folder with one")
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
        source = pa.memory_map(str(path))
        reader = pa.ipc.open_stream(source)
    with source, reader:
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
            names = reader.schema.names
        missing = set(wanted(reading)) - set(names)
        if missing:
            raise missing_columns(piece.path, missing, names, reading.columns)
        labels, first = labels_of(reader.schema), piece.first
        for index, batch in enumerate(_batches(reader, piece.path)):
            if end is not None and index >= end:
                break
            if index >= start:
                yield from to_our_columns(
                    batch.select(wanted(reading)), np.arange(first, first + batch.num_rows), piece, reading, labels
                )
                first += batch.num_rows
