"""Hugging Face datasets: on the hub, or on disk as `save_to_disk` wrote them or as the hub keeps them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field, field_validator, model_validator

from bmtool.config.hub import hub_name
from bmtool.config.model import HOW, explained
from bmtool.contracts import Source

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import pyarrow as pa

    from bmtool.config.hub import HubName
    from bmtool.console import Console
    from bmtool.contracts import Piece, Reading
    from bmtool.sources._files import FileSource


class Huggingface(Source):
    """One split of a dataset: `hf:org/name@revision`, or a folder or file on this disk.

    Class labels come as their names. No code of a dataset is run. What a name on the hub means is fetched once, into
    the hub's cache; without a commit as its revision it stays at the commit that the cache then has.
    """

    path: Annotated[str, HOW, Field(examples=["data/reviews/", "hf:org/reviews@3f1c..."])]
    """A name on the hub, a folder, or a file."""
    split: str = "train"
    files_: Annotated[str | tuple[str, ...] | None, HOW, Field(alias="files", examples=["data/train-*.parquet"])] = None
    """Which files, whatever their split: a pattern, or a list of them, of paths in the dataset. `*` stays inside a
    folder, `**` doesn't. None: those of the split."""

    @field_validator("path")
    @classmethod
    def _is_named_right(cls, path: str) -> str:
        hub_name(path)
        return path

    @model_validator(mode="after")
    def _says_once_which_files(self) -> Huggingface:
        if self.files_ is not None and self.split != "train":
            raise explained("'files' says which files are read, of any split. Remove one of the two", at="split")
        return self

    @property
    def hub(self) -> HubName | None:
        """The name on the hub; None for what is on this disk."""
        return hub_name(self.path)

    def fetch(self, console: Console) -> None:
        """Bring the files of a name on the hub into its cache, unless they are there."""
        from bmtool.artifacts.hub import fetch

        if self.hub is not None:
            fetch(self.hub, "dataset", self._chosen, console)

    def revisions(self) -> dict[str, str]:
        """The commit that a name on the hub means."""
        from bmtool.artifacts.hub import snapshot

        return {self.path: snapshot(self.hub, "dataset").commit} if self.hub is not None else {}

    def files(self) -> list[tuple[str, Path]]:
        """The files of the split, or those that were named, sorted by name."""
        from bmtool.artifacts.hub import snapshot
        from bmtool.data.readers.huggingface import split_files

        if self.hub is None:
            return split_files(self.path, self.split, self._patterns())
        found = snapshot(self.hub, "dataset")
        return found.paths(self._chosen(found.names), self.hub)

    def _chosen(self, names: Sequence[str]) -> list[str]:
        from bmtool.data.readers.huggingface import chosen_on_hub

        return chosen_on_hub(names, self.split, self._patterns(), self.path)

    def _patterns(self) -> tuple[str, ...]:
        return (self.files_,) if isinstance(self.files_, str) else self.files_ or ()

    def pieces(self, name: str, path: Path, sha256: str) -> Iterator[Piece]:
        """Record batches, row groups or lines, as the files hold them."""
        from bmtool.data.readers.huggingface import cut_arrow

        if path.suffix == ".arrow":
            return cut_arrow(name, path, sha256)
        return self._reader(path).pieces(name, path, sha256)

    def read(self, piece: Piece, reading: Reading) -> Iterator[pa.RecordBatch]:
        """Batches of rows; a row that lacks a value is rejected."""
        from bmtool.data.readers.huggingface import labels_of, read_arrow
        from bmtool.data.readers.parquet import read_parquet

        if piece.path.suffix == ".arrow":
            return read_arrow(piece, reading)
        if piece.path.suffix == ".parquet":
            return read_parquet(piece, reading, labels_of)
        return self._reader(piece.path).read(piece, reading)

    def _reader(self, path: Path) -> Source:
        """The source that reads such a file. The hub's `.json` files are JSON lines mostly."""
        from bmtool.data.readers.unpack import inner_suffix
        from bmtool.sources.csv import Csv
        from bmtool.sources.jsonl import Jsonl
        from bmtool.sources.parquet import Parquet
        from bmtool.sources.text import Text

        kinds: tuple[type[FileSource], ...] = (Csv, Jsonl, Parquet, Text)
        readers: dict[str, type[FileSource]] = {suffix: kind for kind in kinds for suffix in kind.suffixes}
        readers[".json"] = Jsonl
        return readers[inner_suffix(path)](path=self.path)
