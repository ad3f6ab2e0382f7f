"""Raw files read by Python and pyarrow alone: packed or not, into rows with the ids that their columns give."""

import bz2
import csv
import glob
import gzip
import io
import json
import lzma
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import xxhash

Columns = dict[str, str | None]


class RefusedError(Exception):
    """A line that is no row."""


class UnknownError(Exception):
    """What this script doesn't recount."""


@dataclass
class Row:
    """A row as it is read; None in the place of its columns: it can't be."""

    source: int
    file: str
    line: int
    columns: Columns | None
    id: str = ""
    reason: str = ""
    """What the artifact says became of it: `refused`, a reason of dropped.arrow, or nothing"""
    bytes: int = 0
    words: int = 0
    text: str = field(default="", repr=False)
    """Cleaned"""


def unpacked(path: Path) -> bytes:
    """What is in a file."""
    data = path.read_bytes()
    if data[:3] == b"\x1f\x8b\x08":
        return gzip.decompress(data)
    if data[:4] == b"\x28\xb5\x2f\xfd":
        with pa.CompressedInputStream(pa.BufferReader(data), "zstd") as stream:
            return stream.read()
    if data[:3] == b"BZh":
        return bz2.decompress(data)
    return lzma.decompress(data) if data[:6] == b"\xfd7zXZ\x00" else data


def files_of(source: dict[str, Any]) -> list[tuple[str, Path]]:
    """(name in the artifact, path) of a source's files; below the folder, or a pattern's fixed part."""
    patterns = source["path"] if isinstance(source["path"], list) else [source["path"]]
    if "-" in patterns:
        raise UnknownError("standard input, which is gone")
    found: dict[Path, str] = {}
    for pattern in map(os.path.expandvars, patterns):
        path = Path(pattern)
        if path.is_dir():
            root, paths = path, [one for one in path.rglob("*") if _counts(one, path, source["type"])]
        elif glob.has_magic(pattern) and not path.exists():
            fixed = next(place for place, part in enumerate(path.parts) if glob.has_magic(part))
            root, paths = Path(*path.parts[:fixed]), list(map(Path, glob.glob(pattern, recursive=True)))  # noqa: PTH207
        else:
            root, paths = path.parent, [path]
        for one in paths:
            if one.is_file():
                found.setdefault(one.resolve(), one.relative_to(root).as_posix())
    if len(set(found.values())) < len(found):
        raise UnknownError("two files of a source have the same name")
    return sorted((name, path) for path, name in found.items())


def _counts(path: Path, folder: Path, type_: str) -> bool:
    inner = path.name.lower()
    for packing in (".gz", ".zst", ".bz2", ".xz"):
        inner = inner.removesuffix(packing)
    is_hidden = any(part.startswith(".") for part in path.relative_to(folder).parts)
    return not is_hidden and inner.endswith(ENDINGS[type_])


ENDINGS = {"jsonl": (".jsonl", ".ndjson"), "csv": (".csv", ".tsv"), "text": (".txt",), "parquet": (".parquet", ".pq")}


def rows_of(number: int, source: dict[str, Any], name: str, path: Path, theirs: dict[str, Any]) -> Iterator[Row]:
    """The rows of a file in their order; `theirs`: our name -> the names of the columns there.

    Raises:
        UnknownError: such a source isn't recounted here.
    """
    rows = READERS.get(source["type"])
    if rows is None or source.get("rows", "lines") != "lines":
        raise UnknownError(f"a source of type {source['type']}" + (" by paragraphs or files" if rows else ""))
    for line, plain in rows(path, source):
        try:
            columns = row_of(plain() if callable(plain) else plain, theirs)
            yield Row(number, name, line, columns, id_of(columns))
        except (RefusedError, ValueError, RecursionError):
            yield Row(number, name, line, None)


def text_of(value: Any, *, is_text: bool) -> str | None:
    """What a column holds for a plain value: kept columns are text whatever they were."""
    if value is None or isinstance(value, str):
        return value
    if is_text or isinstance(value, list | dict):
        raise RefusedError(f"{type(value).__name__} in a column of text")
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        digits = f"{value:f}"
        return digits.rstrip("0").rstrip(".") if "." in digits else digits
    return str(int(value) if isinstance(value, float) and value.is_integer() else value)


def row_of(plain: Any, theirs: dict[str, Any]) -> Columns:
    """Our columns of a parsed row; `theirs` is `Artifact.theirs`."""
    if not isinstance(plain, dict):
        raise RefusedError("not an object")
    columns: Columns = {}
    for name, (names, is_text, is_needed) in theirs.items():
        parts = [text_of(plain.get(one), is_text=is_text) for one in names]
        there = [part for part in parts if part is not None]
        value = "\n".join(filter(None, there)) if there else None
        if value is None and is_needed:
            raise RefusedError("no value")
        if value is not None and "\0" in value:
            raise RefusedError("NUL")
        columns[name] = value
    try:
        json.dumps(columns, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise RefusedError("half a surrogate pair") from error
    return columns


def id_of(columns: Columns) -> str:
    """32 hex digits over names and values in the order of the names, each with its length in front."""
    framed = ""
    for name in sorted(columns):
        value = columns[name]
        framed += f"{len(name)}:{name}" + ("-" if value is None else f"{len(value.encode())}:{value}")
    return xxhash.xxh3_128_hexdigest(framed.encode())


def _refuse_constant(name: str) -> None:
    raise RefusedError(name)


def _json_rows(path: Path, source: dict[str, Any]) -> Iterator[tuple[int, Callable[[], Any]]]:
    del source
    for number, line in enumerate(unpacked(path).split(b"\n"), 1):
        if line.strip():
            yield number, lambda line=line: json.loads(line.decode("utf-8-sig"), parse_constant=_refuse_constant)


def _csv_rows(path: Path, source: dict[str, Any]) -> Iterator[tuple[int, Callable[[], Any]]]:
    is_tabs = ".tsv" in path.name.lower()
    delimiter = source.get("delimiter") or ("\t" if is_tabs else ",")
    reader = csv.reader(io.StringIO(unpacked(path).decode("utf-8-sig"), newline=""), strict=True, delimiter=delimiter)
    head = next(reader)
    line = reader.line_num + 1
    for fields in reader:
        # An empty field is a missing value.
        yield line, lambda fields=fields: {name: one or None for name, one in zip(head, fields, strict=True)}
        line = reader.line_num + 1


def _text_rows(path: Path, source: dict[str, Any]) -> Iterator[tuple[int, Callable[[], Any]]]:
    del source
    for number, line in enumerate(unpacked(path).split(b"\n"), 1):
        if line.strip():
            yield number, lambda line=line: {"text": line.removesuffix(b"\r").decode()}


def _parquet_rows(path: Path, source: dict[str, Any]) -> Iterator[tuple[int, Any]]:
    del source
    yield from enumerate(pq.read_table(path).to_pylist(), 1)


READERS: dict[str, Callable[[Path, dict[str, Any]], Iterator[tuple[int, Any]]]] = {
    "jsonl": _json_rows,
    "csv": _csv_rows,
    "text": _text_rows,
    "parquet": _parquet_rows,
}
