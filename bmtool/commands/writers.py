"""Write rows of predictions as CSV, JSON lines or Parquet; a file is whole or not there at all."""

from __future__ import annotations

import csv
import gzip
import io
import json
import sys
from abc import ABC, abstractmethod
from contextlib import contextmanager
from datetime import date, datetime, time
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TextIO

from bmtool.artifacts.files import fsync_file, fsync_folder
from bmtool.commands.table import format_of
from bmtool.errors import ConfigError, DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path


class Writer(ABC):
    """Takes windows of rows in order. The first window says which columns there are."""

    @abstractmethod
    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write some rows."""

    def finish(self) -> None:
        """Write what comes at the end; most formats have nothing there."""
        return


class JsonLines(Writer):
    """One object a line, UTF-8, or ASCII on a terminal of another kind; rows may have different columns."""

    def __init__(self, handle: TextIO) -> None:
        self.handle = handle
        self.is_ascii = handle.encoding.lower().replace("-", "") != "utf8"

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write some rows."""
        for row in rows:
            self.handle.write(json.dumps(_plain(row), ensure_ascii=self.is_ascii, allow_nan=False) + "\n")
        self.handle.flush()


class Csv(Writer):
    """A header line, then one record a row; lists are written as JSON, a missing value as an empty field."""

    def __init__(self, handle: TextIO, delimiter: str) -> None:
        self.writer = csv.writer(handle, delimiter=delimiter, lineterminator="\n")
        self.columns: list[str] = []

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write some rows."""
        if not self.columns and rows:
            self.columns = _columns(rows)
            self.writer.writerow(self.columns)
        for row in rows:
            _check_columns(row, self.columns)
            self.writer.writerow([_cell(row.get(name)) for name in self.columns])


class Parquet(Writer):
    """Columns with the types of the input's, or (from JSON lines) of the first window."""

    def __init__(self, path: Path, schema: Any) -> None:
        self.path = path
        self.given = schema
        self.schema: Any = None
        self.file: Any = None

    def write(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write some rows."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        if self.file is None:
            self.schema = self._types(rows)
            self.file = pq.ParquetWriter(self.path, self.schema)
        for row in rows:
            _check_columns(row, self.schema.names)
        with _explained():
            self.file.write_table(pa.Table.from_pylist(list(rows), self.schema))

    def _types(self, rows: Sequence[Mapping[str, Any]]) -> Any:
        import pyarrow as pa

        known = {} if self.given is None else {field.name: field.type for field in self.given}
        fields = []
        for name in _columns(rows):
            with _explained():
                inferred = known.get(name) or pa.infer_type([row.get(name) for row in rows])
            fields.append(pa.field(name, pa.string() if pa.types.is_null(inferred) else inferred))
        return pa.schema(fields)

    def finish(self) -> None:
        """Write the footer; without a single row, a file of the input's columns."""
        import pyarrow as pa
        import pyarrow.parquet as pq

        if self.file is not None:
            self.file.close()
        else:
            pq.write_table((self.given or pa.schema([])).empty_table(), self.path)


@contextmanager
def _explained() -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError) as error:
        raise DataError(f"a column holds values of several types, which Parquet can't: {error}. Write .jsonl") from None


@contextmanager
def open_writer(output: Path | None, schema: Any) -> Iterator[Writer]:
    """A writer for `output` by its ending, or JSON lines on standard output.

    `schema` is the input's Arrow schema, where it has one. The file gets its name once all is written.

    Raises:
        ConfigError: the ending says nothing, or the folder isn't there.
    """
    if output is None:
        yield JsonLines(sys.stdout)
        return
    kind = format_of(output)
    if kind not in {"csv", "jsonl", "parquet"}:
        raise ConfigError(f"--output {output}: the ending says no format. Known: .csv, .jsonl, .jsonl.gz, .parquet")
    if not output.absolute().parent.is_dir():
        raise ConfigError(f"--output {output}: the folder {output.parent} doesn't exist")
    new = output.with_name(f".{output.name}.new")
    try:
        if kind == "parquet":
            writer: Writer = Parquet(new, schema)
            yield writer
            writer.finish()
        else:
            with _open_text(new, is_gzip=output.name.lower().endswith(".gz")) as handle:
                delimiter = "\t" if ".tsv" in output.name.lower() else ","
                yield JsonLines(handle) if kind == "jsonl" else Csv(handle, delimiter)
        fsync_file(new)
        new.replace(output)
        fsync_folder(output.absolute().parent)
    finally:
        new.unlink(missing_ok=True)


def _open_text(path: Path, *, is_gzip: bool) -> TextIO:
    if is_gzip:
        # No name and no time in the header: the same rows are the same bytes.
        return io.TextIOWrapper(gzip.GzipFile(path, "wb", mtime=0), encoding="utf-8", newline="")
    return path.open("w", encoding="utf-8", newline="")


def _columns(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(name for row in rows for name in row))


def _check_columns(row: Mapping[str, Any], columns: Sequence[str]) -> None:
    strange = [name for name in row if name not in columns]
    if strange:
        raise DataError(f"column '{strange[0]}' comes up after the header was written. Write .jsonl")


def _cell(value: Any) -> Any:
    if isinstance(value, list | dict):
        return json.dumps(_plain(value), ensure_ascii=False)
    return _plain(value)


def _plain(value: Any) -> Any:
    """`value` as JSON can hold it: times as ISO text, numbers that aren't finite as null."""
    if isinstance(value, dict):
        return {key: _plain(member) for key, member in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(member) for member in value]
    if isinstance(value, float):
        return value if value - value == 0 else None
    if isinstance(value, date | datetime | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, str | int | bool | None):
        return value
    raise DataError(f"a column holds {type(value).__name__}, which this format can't hold. Write .parquet")
