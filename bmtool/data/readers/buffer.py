"""Turn plain values of a source into record batches; rows that don't fit their columns are rejected on the way."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bmtool.contracts import LINE, Rejected
from bmtool.contracts.kinds import NESTED, PARALLEL
from bmtool.data.messages import contents
from bmtool.data.readers.advice import DECIMAL_COMMA, NOT_UTF8
from bmtool.data.readers.decimals import has_decimal_comma
from bmtool.data.rows import (
    MAX_BATCH_BYTES,
    MAX_BATCH_ROWS,
    BadRowError,
    converter,
    kind_of,
    text_bytes,
)
from bmtool.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from bmtool.contracts import Reading


def names_of(reading: Reading, column: str) -> tuple[str, ...]:
    """The source's columns that our `column` is made of."""
    theirs = reading.columns.get(column, column)
    return (theirs,) if isinstance(theirs, str) else theirs


def wanted(reading: Reading) -> list[str]:
    """The source's columns that are read, each once, in the order in which the schema needs them."""
    return list(dict.fromkeys(name for ours in reading.schema.names for name in names_of(reading, ours)))


def batch_schema(reading: Reading) -> pa.Schema:
    """The schema of the batches that are read: the wanted columns, and LINE behind them."""
    return reading.schema.append(pa.field(LINE, pa.int64(), nullable=False))


def to_batch(
    reading: Reading, file: str | Sequence[str], lines: Sequence[int] | np.ndarray, columns: Sequence[Sequence[Any]]
) -> list[pa.RecordBatch]:
    """Rows as one batch, or none where no row is left.

    `lines` (N,) are the rows' places in `file` (or in N files); `columns` hold N plain values each, one column for each
    name of `wanted`. A row with a value of a wrong type, without one it needs, or with half a character is rejected.
    """
    given = dict(zip(wanted(reading), columns, strict=True))
    reasons: dict[int, str] = {}
    converted = []
    for field in reading.schema:
        names = names_of(reading, field.name)
        parts = [_converted(given[name], kind_of(field), name, reasons) for name in names]
        check_joinable(field, len(parts))
        converted.append(parts[0] if len(parts) == 1 else [_joined(row) for row in zip(*parts, strict=True)])
    try:
        arrays = _arrays(reading, converted)
    except UnicodeEncodeError:
        for row in range(len(lines)):
            if not all(_is_unicode(column[row]) for column in converted):
                reasons.setdefault(row, NOT_UTF8)
    if reasons:
        good = [row for row in range(len(lines)) if row not in reasons]
        for row in sorted(reasons):
            reading.reject(Rejected(_at(file, row), int(lines[row]), reasons[row]))
        lines = [lines[row] for row in good]
        file = [_at(file, row) for row in good]
        arrays = _arrays(reading, [[column[row] for row in good] for column in converted])
    arrays.append(pa.array(lines, type=pa.int64()))
    return sift(pa.record_batch(arrays, schema=batch_schema(reading)), file, reading)


def check_joinable(field: pa.Field, num_parts: int) -> None:
    """Raise DataError where several columns are to be joined into one that holds no text."""
    if num_parts > 1 and not pa.types.is_string(field.type):
        raise DataError(f"column '{field.name}' holds {kind_of(field)}, which can't be joined")


def _converted(values: Sequence[Any], kind: str, name: str, reasons: dict[int, str]) -> Sequence[Any]:
    if kind not in (*NESTED, "number") and set(map(type, values)) <= {str, type(None)}:
        return values
    convert, out = converter(kind), []
    for row, value in enumerate(values):
        try:
            out.append(convert(value))
        except BadRowError as error:
            is_comma = kind == "number" and has_decimal_comma(value)
            reason = f"{DECIMAL_COMMA} in column '{name}'" if is_comma else f"wrong type in column '{name}': {error}"
            part = next(filter(str.isidentifier, value), None) if isinstance(value, dict) else None
            if kind not in NESTED and part is not None:  # what is no name may be text, or half a character
                reason += f". Name a part of it, such as {name}.{part[:40]}"
            reasons.setdefault(row, reason)
            out.append(None)
    return out


def _joined(parts: tuple[str | None, ...]) -> str | None:
    """The parts that there are, joined by line breaks; None where there is none."""
    if all(part is None for part in parts):
        return None
    return "\n".join(part for part in parts if part)


def _at(file: str | Sequence[str], row: int) -> str:
    return file if isinstance(file, str) else file[row]


def _arrays(reading: Reading, columns: Sequence[Sequence[Any]]) -> list[pa.Array]:
    return [pa.array(column, type=field.type) for column, field in zip(columns, reading.schema, strict=True)]


def _is_unicode(value: Any) -> bool:
    """Whether there is no half of a surrogate pair in a text, a list of texts, the texts of answers, or messages."""
    if isinstance(value, dict):
        value = value["text"]
    try:
        for member in value if isinstance(value, list) else (value,):
            text = member["content"] if isinstance(member, dict) else member
            if isinstance(text, str):
                text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def line_groups(data: bytes) -> Iterator[tuple[int, list[bytes]]]:
    """(number of the first, lines with their ends) as many at once as fit into a batch, or one that is longer."""
    handle, number = io.BytesIO(data), 0
    while lines := handle.readlines(MAX_BATCH_BYTES):
        if len(lines) > 1 and sum(map(len, lines)) > MAX_BATCH_BYTES:
            handle.seek(-len(lines.pop()), io.SEEK_CUR)
        for start in range(0, len(lines), MAX_BATCH_ROWS):
            part = lines[start : start + MAX_BATCH_ROWS]
            yield number, part
            number += len(part)


def bounded(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """A batch of any size as several that keep to the limits; it has the columns of `batch_schema`."""
    if batch.num_rows <= MAX_BATCH_ROWS and batch.nbytes <= MAX_BATCH_BYTES:
        yield batch
        return
    ends = np.cumsum(text_bytes(batch, [name for name in batch.schema.names if name != LINE]))
    start = 0
    while start < batch.num_rows:
        before = ends[start - 1] if start else 0
        end = int(np.searchsorted(ends, before + MAX_BATCH_BYTES, side="right"))
        end = min(max(end, start + 1), start + MAX_BATCH_ROWS)
        yield batch.slice(start, end - start)
        start = end


def gathered(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """Small batches put together into larger ones that keep to the limits: what follows costs something a batch."""
    waiting: list[pa.RecordBatch] = []
    rows, size = 0, 0
    for batch in batches:
        if waiting and (rows + batch.num_rows > MAX_BATCH_ROWS or size + batch.nbytes > MAX_BATCH_BYTES):
            yield pa.concat_batches(waiting)
            waiting, rows, size = [], 0, 0
        waiting.append(batch)
        rows += batch.num_rows
        size += batch.nbytes
    if waiting:
        yield pa.concat_batches(waiting)


#: What is missing where a column that was read whole has no value.
_NEEDED = {
    "number": "number",
    "answers": "list of texts and starts",
    "messages": "conversation that ends with an answer",
}


def sift(batch: pa.RecordBatch, file: str | Sequence[str], reading: Reading) -> list[pa.RecordBatch]:
    """Reject rows without a value they need, with a NUL character, or with lists that don't run in parallel.

    `batch` has the columns of `batch_schema`. The rest comes back as one batch, or none.
    """
    reasons: dict[int, str] = {}
    lengths = None
    for field in reading.schema:
        name = " + ".join(names_of(reading, field.name))
        column = batch.column(field.name)
        if not field.nullable and column.null_count:
            what = _NEEDED.get(kind_of(field), "value")
            _mark(reasons, column.is_null(), f"no {what} in column '{name}'")
        if kind_of(field) == "answers":
            column = column.field("text")
        if kind_of(field) == "messages":
            column = contents(column)
        if pa.types.is_list(column.type):
            flat = pc.list_flatten(column)
            if flat.null_count:
                members = pc.list_parent_indices(column)
                _mark_rows(reasons, members.filter(flat.is_null()), f"no value in a list of column '{name}'")
            if _may_hold_nul(flat):
                members = pc.list_parent_indices(column)
                _mark_rows(reasons, members.filter(_has_nul(flat)), f"NUL character in column '{name}'")
            if kind_of(field) not in PARALLEL:
                continue
            own = pc.fill_null(pc.list_value_length(column), 0)
            if lengths is not None:
                _mark(reasons, pc.not_equal(own, lengths), "lists of different lengths")
            lengths = own
        elif pa.types.is_string(column.type):
            if _may_hold_nul(column):
                _mark(reasons, _has_nul(column), f"NUL character in column '{name}'")
            if kind_of(field) in {"label", "group"}:
                _mark(reasons, pc.fill_null(pc.equal(column, ""), False), f"no value in column '{name}'")
    if reasons:
        places = batch.column(LINE).to_pylist()
        for row in sorted(reasons):
            reading.reject(Rejected(_at(file, row), places[row], reasons[row]))
        keep = np.ones(batch.num_rows, dtype=bool)
        keep[list(reasons)] = False
        batch = batch.filter(pa.array(keep))
    return [batch] if batch.num_rows else []


def _may_hold_nul(texts: pa.Array) -> bool:
    """Whether a NUL is among the bytes of `texts`: many times faster than a look at each text."""
    data = texts.buffers()[2]
    return data is not None and not np.frombuffer(data, dtype=np.uint8).all()


def _has_nul(texts: pa.Array) -> pa.Array:
    return pc.fill_null(pc.match_substring(texts, "\0"), False)


def _mark(reasons: dict[int, str], bad: pa.Array, reason: str) -> None:
    _mark_rows(reasons, pc.indices_nonzero(bad), reason)


def _mark_rows(reasons: dict[int, str], rows: pa.Array, reason: str) -> None:
    for row in rows.to_pylist():
        reasons.setdefault(row, reason)


class RowBuffer:
    """Gathers rows that come one by one into record batches of bounded size."""

    def __init__(self, file: str, reading: Reading) -> None:
        self.file = file
        """The file of the rows that are added next."""
        self.reading = reading
        self.theirs = wanted(reading)
        self.rows: list[Sequence[Any]] = []
        self.lines: list[int] = []
        self.files: list[str] = []
        self.size = 0

    def add(self, line: int, values: Sequence[Any], size: int) -> list[pa.RecordBatch]:
        """Add a row of `file`: its values in the order of `theirs`, and no fewer than their `size` in bytes.

        What was gathered comes back where the row would make it too large.
        """
        full = len(self.rows) == MAX_BATCH_ROWS or (self.rows and self.size + size > MAX_BATCH_BYTES)
        out = self.flush() if full else []
        self.rows.append(values)
        self.lines.append(line)
        self.files.append(self.file)
        self.size += size
        return out

    def refuse(self, line: int, reason: str) -> None:
        """Reject a row that has no values at all."""
        self.reading.reject(Rejected(self.file, line, reason))

    def flush(self) -> list[pa.RecordBatch]:
        """What was gathered, as one batch (or none), and start anew."""
        if not self.rows:
            return []
        columns = list(zip(*self.rows, strict=True))
        out = to_batch(self.reading, self.files, self.lines, columns)
        self.rows, self.lines, self.files, self.size = [], [], [], 0
        return out
