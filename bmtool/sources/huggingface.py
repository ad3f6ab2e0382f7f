"""Hugging Face datasets on disk: what `save_to_disk` wrote, or a folder of Parquet, JSON-lines or CSV files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field, field_validator

from bmtool.config.model import HOW, explained
from bmtool.contracts import Source

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import pyarrow as pa

    from bmtool.contracts import Piece, Reading
    from bmtool.sources._files import FileSource


class Huggingface(Source):
    """One split of a dataset in a folder, as `save_to_disk` writes it or as it is kept on the hub.

    Class labels come as their names. Nothing is downloaded, and no code of the folder is run.
    """

    path: Annotated[str, HOW, Field(examples=["data/reviews/"])]
    """The folder."""
    split: str = "train"

    @field_validator("path")
    @classmethod
    def _is_on_disk(cls, path: str) -> str:
        if path.startswith("hf:"):
            name = path[3:].partition("@")[0]
            raise explained(
                f"'{path}' isn't on this disk. Fetch it, then name the folder: "
                f"hf download --repo-type dataset {name} --local-dir FOLDER"
            )
        return path

    def files(self) -> list[tuple[str, Path]]:
        """The files of the split, sorted by name."""
        from bmtool.data.readers.huggingface import split_files

        return split_files(self.path, self.split)

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
        """The source that reads such a file."""
        from bmtool.data.readers.unpack import inner_suffix
        from bmtool.sources.csv import Csv
        from bmtool.sources.jsonl import Jsonl
        from bmtool.sources.parquet import Parquet

        kinds: tuple[type[FileSource], ...] = (Csv, Jsonl, Parquet)
        return next(kind(path=self.path) for kind in kinds if inner_suffix(path) in kind.suffixes)
