"""What `bmtool init` looks at: the files of a source, their first rows, and which of these can't be read."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bmtool.commands.init.columns import Column, look
from bmtool.commands.table import FORMATS, Table, format_of, open_table
from bmtool.data.readers.advice import FROM_SQUAD, advice, to_lines
from bmtool.data.readers.delimiters import OTHERS, delimiter_of, other_delimiter
from bmtool.errors import ConfigError, DataError, MissingInputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from bmtool.commands.table import Row

#: So many rows are looked at; what the rest holds is estimated by the files' sizes.
MOST_ROWS = 20_000

#: So much of a file of JSON is looked at to tell its layout.
HEAD_BYTES = 64 * 1024

#: Bytes of text in a byte of a gzip file, roughly.
GZIPPED = 4

READS = ", ".join(ending for ending, kind in FORMATS.items() if kind != "lines") + " (also .csv.gz, .jsonl.gz)"


@dataclass(frozen=True)
class Found:
    """The files of a source, and what the first rows of them show."""

    stem: str
    pattern: str
    """what `sources:` says: a path or a glob"""
    tables: list[Table]
    columns: Mapping[str, Column]
    rows_seen: int
    scale: float
    """all rows for each row seen, roughly"""
    is_whole: bool
    """whether all rows were seen"""
    unread: Unread

    def names_among_values(self) -> list[str]:
        """Columns of CSV that hold their own name: it is a row where names were looked for, or names stand in rows."""
        if self.tables[0].format != "csv":
            return []
        return [column.name for column in self.columns.values() if column.name in column.values]


@dataclass
class Unread:
    """The rows looked at that couldn't be read."""

    reasons: Counter[str] = field(default_factory=Counter)
    first: str = ""
    """where the first one is"""

    def see(self, table: Table, row: Row) -> None:
        """Count one."""
        self.reasons[row.reason] += 1
        self.first = self.first or f"{table.name}:{row.line}"

    def __str__(self) -> str:
        counts = ", ".join(f"{number:,} {reason}" for reason, number in self.reasons.most_common())
        return f"{counts}; the first is {self.first}"


def find(source: Path) -> Found:
    """The files that `source` means, and what their first rows hold.

    Raises:
        MissingInputError: nothing readable is there.
        ConfigError: the files' format isn't known.
        DataError: no row could be read.
    """
    if source.is_dir():
        files, pattern = _files_in(source)
        stem = source.resolve().name
    elif source.is_file():
        files, pattern = [source], str(source)
        stem = re.sub(r"(\.gz)$", "", source.name)
        stem = stem.removesuffix(Path(stem).suffix)
    else:
        what = "this is neither a file nor a folder" if source.exists() else "there is no such file or folder"
        raise MissingInputError(f"{source}: {what}")
    if format_of(files[0]) in {None, "lines"}:
        how = json_advice(files[0])
        raise ConfigError(f"{source}: init reads {READS}{how and f'. {how}'}")
    tables = [_opened(path) for path in files]
    unread = Unread()
    seen, columns, scale, is_whole = _look(files, tables, unread)
    if not seen:
        is_empty = all(path.stat().st_size == 0 for path in files)
        nothing = "empty, not a byte" if is_empty else "a header line, and no row"
        hint = json_advice(files[0]) or advice(unread.reasons)
        why = f"no row could be read: {unread}{f'. {hint}' if hint else ''}" if unread.reasons else nothing
        raise DataError(f"{source}: {why}")
    how = json_advice(files[0]) if seen == 1 else ""
    if FROM_SQUAD in how:
        raise DataError(f"{source}: all questions are one row. {how}")
    return Found(stem, pattern, tables, columns, seen, scale, is_whole, unread)


def json_advice(path: Path) -> str:
    """How a file that is named as JSON becomes rows, where it isn't a row on each line."""
    if path.suffix not in {".json", ".jsonl", ".ndjson"}:
        return ""
    with path.open("rb") as handle:
        found = to_lines(handle.read(HEAD_BYTES), str(path))
    renamed = path.with_suffix(".jsonl")
    return found or (f"If it has a row on each line, call it {renamed}" if path.suffix == ".json" else "")


def _opened(path: Path) -> Table:
    """The file, and of CSV what stands between the columns of its header, where it isn't what the name means."""
    try:
        table = open_table(str(path))
    except DataError:
        between = [one for one in OTHERS if format_of(path) == "csv" and _separates(one, path)]  # names in quotes
        if not between:
            raise
        return open_table(str(path), delimiter=between[0])
    other = other_delimiter(table.columns) if table.format == "csv" else None
    return table if other is None else open_table(str(path), delimiter=other)


def _separates(delimiter: str, path: Path) -> bool:
    """Whether a header can be read by it, and has several columns then."""
    try:
        return len(open_table(str(path), delimiter=delimiter).columns) > 1
    except DataError:
        return False


def declared(table: Table) -> str | None:
    """What stands between columns, where a configuration must say it."""
    if table.path is None or table.format != "csv" or table.delimiter == delimiter_of(table.path, None):
        return None
    return table.delimiter


def csv_settings(found: Found, columns: Iterable[Column]) -> dict[str, str]:
    """What the source must say of how these columns are written."""
    used = list(columns)
    separators = [column.separator for column in used if column.separator is not None]
    settings = {
        "delimiter": declared(found.tables[0]),
        "decimal": "," if any(column.has_decimal_comma for column in used) else None,
        "list_separator": separators[0] if separators else None,
    }
    return {name: value for name, value in settings.items() if value is not None}


def _files_in(folder: Path) -> tuple[list[Path], str]:
    """The files of the commonest ending, and the glob that means them."""
    known = [p for p in sorted(folder.iterdir()) if p.is_file() and format_of(p) not in {None, "lines"}]
    endings = Counter(_ending(path) for path in known)
    if not endings:
        raise MissingInputError(f"{folder}: no file here is one that init reads: {READS}")
    ending = endings.most_common(1)[0][0]
    return [path for path in known if _ending(path) == ending], f"{folder}/*{ending}"


def _ending(path: Path) -> str:
    inner = path.name.removesuffix(".gz")
    return Path(inner).suffix + (".gz" if inner != path.name else "")


def _look(files: list[Path], tables: list[Table], unread: Unread) -> tuple[int, Mapping[str, Column], float, bool]:
    """(rows looked at, columns, all rows for each of them, whether these are all), of as many rows of each file."""
    share = max(MOST_ROWS // len(tables), 20)
    seen, estimated, is_whole = 0, 0.0, True

    def rows() -> Iterator[Mapping[str, Any]]:
        nonlocal seen, estimated, is_whole
        for path, table in zip(files, tables, strict=True):
            read, read_bytes = 0, 0
            for row in islice(table.rows(), share):
                if row.values is not None:
                    seen += 1
                    yield row.values
                else:
                    unread.see(table, row)
                read += 1
                read_bytes += _written(row, table.format)
            is_whole = is_whole and read < share
            estimated += read if read < share else _num_rows(path, table.format, read, read_bytes)
        if not is_whole:
            estimated -= unread.reasons.total()

    columns = look(rows())
    if tables[0].format == "csv":
        for column in columns.values():
            column.read_as_csv()
    return seen, columns, 1.0 if is_whole else max(estimated / max(seen, 1), 1.0), is_whole


def _written(row: Row, kind: str) -> int:
    """About how many bytes a row takes in its file."""
    if row.values is None:
        return 0
    if kind == "csv":
        return sum(len(str(value).encode()) + 1 for value in row.values.values()) + 1
    return len(json.dumps(row.values, ensure_ascii=False, default=str).encode()) + 1


def _num_rows(path: Path, kind: str, read: int, read_bytes: int) -> float:
    """All rows of a file of which some were read: a Parquet file says it, others have as many for each byte."""
    if kind == "parquet":
        import pyarrow.parquet as pq

        return float(pq.read_metadata(path).num_rows)
    size = path.stat().st_size * (GZIPPED if path.name.endswith(".gz") else 1)
    return max(read * size / max(read_bytes, 1), float(read))
