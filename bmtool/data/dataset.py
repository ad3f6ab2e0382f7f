"""Open a prepared dataset: its splits, its tokenizer, its task."""

from __future__ import annotations

import json
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from bmtool.data.storage import fetch_stream, read_schema
from bmtool.data.tokens import MappedTokens
from bmtool.errors import DataError, MissingInputError

if TYPE_CHECKING:
    from collections.abc import Iterator


TOKENS = "input_ids"


@contextmanager
def _blaming(path: Path) -> Iterator[None]:
    """Turn what goes wrong with a file into an error that names it."""
    try:
        yield
    except FileNotFoundError:
        raise MissingInputError(f"{path}: this file of the dataset is missing") from None
    except (pa.ArrowInvalid, OSError) as error:
        if getattr(error, "errno", None) is not None:  # the disk failed, not the file
            raise
        raise DataError(f"{path}: this Arrow file is damaged: {error}") from None


class Split:
    """One split, memory-mapped. N rows."""

    def __init__(self, name: str, shards: list[Path], features: dict[str, Any], num_rows: int) -> None:
        self.name = name
        self.shards = shards
        self.features = features
        self.num_rows = num_rows

    @cached_property
    def _batches(self) -> list[pa.RecordBatch]:
        batches: list[pa.RecordBatch] = []
        for path in self.shards:
            with _blaming(path):
                batches.extend(fetch_stream(path))
        num_rows = sum(batch.num_rows for batch in batches)
        if num_rows != self.num_rows:
            folder = self.shards[0].parent
            raise DataError(f"{folder}: {num_rows} rows are here, {self.num_rows} were written: a file is cut off")
        return batches

    @cached_property
    def schema(self) -> pa.Schema:
        """Names and types of the columns."""
        with _blaming(self.shards[0]):
            return read_schema(self.shards[0])

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The names of the ClassLabel column (or of its list members), by id; () if there is none."""
        for feature in self.features.values():
            inner = feature.get("feature", feature)
            if inner.get("_type") == "ClassLabel":
                return tuple(inner["names"])
        return ()

    def column(self, name: str) -> pa.ChunkedArray:
        """A column of N values.

        Raises:
            DataError: there is none of that name.
        """
        if name not in self.schema.names:
            folder = self.shards[0].parent
            raise DataError(f"{folder}: there is no column '{name}'. The columns are: {', '.join(self.schema.names)}")
        return pa.chunked_array([batch.column(name) for batch in self._batches], type=self.schema.field(name).type)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """All rows, batch by batch."""
        return iter(self._batches)

    @cached_property
    def tokens(self) -> MappedTokens:
        """The token ids of a corpus (a TokenSource).

        Raises:
            DataError: this is a labelled dataset, which has none.
        """
        if TOKENS not in self.schema.names:
            raise DataError(f"{self.shards[0].parent}: no token ids are here: this is no corpus")
        return MappedTokens([batch.column(TOKENS) for batch in self._batches])


@dataclass(frozen=True)
class Dataset:
    """A prepared dataset on disk."""

    folder: Path
    splits: dict[str, Split]
    tokenizer_folder: Path | None
    """Where a corpus's tokenizer is"""
    task: dict[str, Any] | None
    """The task's settings with its `type`; None for a corpus"""
    report: dict[str, Any]

    def __getitem__(self, name: str) -> Split:
        if name not in self.splits:
            raise MissingInputError(
                f"{self.folder}: there is no {name} split, only {', '.join(self.splits)}. "
                f"Ask for one in the prepare section, as in split: {{{name}: 0.1}}"
            )
        return self.splits[name]

    @property
    def labels(self) -> tuple[str, ...]:
        """The labels by id, the same in every split; () for a corpus."""
        return next(iter(self.splits.values())).labels


def open_dataset(folder: Path | str) -> Dataset:
    """Open a folder that `prepare` wrote; no row is read yet.

    Raises:
        MissingInputError: no dataset is there.
        DataError: its description can't be read.
    """
    folder = Path(folder)
    if not (folder / "dataset_dict.json").is_file():
        raise MissingInputError(f"{folder}: no dataset is here (dataset_dict.json is missing)")
    try:
        names = _read(folder / "dataset_dict.json")["splits"]
        report = _read(folder / "report.json")
        splits = {name: open_split(folder / name) for name in names}
    except FileNotFoundError as error:
        raise MissingInputError(f"{error.filename}: this file of the dataset is missing") from None
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder}: the dataset's description can't be read: {error!r}") from None
    tokenizer = folder / "tokenizer"
    return Dataset(folder, splits, tokenizer if tokenizer.is_dir() else None, report["task"], report)


def open_split(folder: Path) -> Split:
    """Open one split's folder; no row is read yet.

    Raises:
        FileNotFoundError, ValueError, KeyError, TypeError: its description isn't there, or can't be read.
    """
    info, state = _read(folder / "dataset_info.json"), _read(folder / "state.json")
    shards = [folder / one["filename"] for one in state["_data_files"]]
    return Split(folder.name, shards, info["features"], info["splits"][folder.name]["num_examples"])


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
