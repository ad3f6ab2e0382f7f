"""Turn Arrow columns of any type, as Parquet and other typed files have them, into ours."""

from __future__ import annotations

from contextlib import contextmanager
from functools import reduce
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bmtool.contracts import LINE, Rejected
from bmtool.contracts.kinds import LISTS, TEXTS
from bmtool.data.messages import MESSAGES, NoConversationError, answered, as_one_text
from bmtool.data.readers.advice import DECIMAL_COMMA, NOT_UTF8
from bmtool.data.readers.buffer import batch_schema, bounded, check_joinable, names_of, sift
from bmtool.data.readers.decimals import has_decimal_comma
from bmtool.data.readers.lines import MAX_LINE_BYTES, TOO_LONG
from bmtool.data.rows import ANSWERS, BadRowError, kind_of, number, right_answers, scalar_text
from bmtool.errors import DataError, MissingInputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from bmtool.contracts import Piece, Reading


#: Kinds whose values are read one by one, so that what couldn't be read is gone from what comes out.
_READ_BY_ROW = ("answers", "messages", "number")


@contextmanager
def naming(path: Path, kind: str) -> Iterator[None]:
    """Turn what pyarrow says about a damaged file into an error that names the file.

    Raises:
        MissingInputError: it isn't there.
        DataError: it is damaged.
    """
    try:
        yield
    except FileNotFoundError:
        raise MissingInputError(f"{path}: there is no such file") from None
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, UnicodeDecodeError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        text = "".join(one if one.isprintable() else "?" for one in str(error).partition("\n")[0])
        raise DataError(f"{path}: this {kind} file can't be read: {text}") from None


def named(path: Path, kind: str, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The batches of a file; an error while they are read, and only that, names it."""
    left = iter(batches)
    while True:
        with naming(path, kind):
            batch = next(left, None)
        if batch is None:
            return
        yield batch


def to_our_columns(
    batch: pa.RecordBatch,
    lines: NDArray[np.int64],
    piece: Piece,
    reading: Reading,
    labels: Mapping[str, pa.Array] | None = None,
    parse: Callable[[pa.Array, str], pa.Array] | None = None,
) -> Iterator[pa.RecordBatch]:
    """The rows of a batch of any types as batches of ours; `lines` (N,) are their places in the file.

    `labels` are the names behind the numbers of some columns; `parse` reads what a column's text stands for, by kind. A
    row without a value it needs, or with text that isn't UTF-8, is rejected.

    Raises:
        DataError: a column has a type that can't be read.
    """
    columns, reasons = _read(batch, piece, reading, labels or {}, parse)
    for row, reason in sorted(reasons.items()):
        reading.reject(Rejected(piece.file, int(lines[row]), reason))
    bad = np.zeros(batch.num_rows, dtype=bool)
    bad[list(reasons)] = True
    # Bad bytes are taken out before any kernel reads the column as text.
    good = pa.array(~bad)
    arrays = [
        _joined([part.filter(good).cast(field.type) for part in parts])
        for field, parts in zip(reading.schema, columns, strict=True)
    ]
    arrays.append(pa.array(lines[~bad]))
    for part in bounded(pa.record_batch(arrays, schema=batch_schema(reading))):
        if part.num_rows == 1 and part.nbytes > MAX_LINE_BYTES:
            reading.reject(Rejected(piece.file, part.column(LINE)[0].as_py(), TOO_LONG.replace("line", "row")))
            continue
        yield from sift(part, piece.file, reading)


def _read(
    batch: pa.RecordBatch,
    piece: Piece,
    reading: Reading,
    labels: Mapping[str, pa.Array],
    parse: Callable[[pa.Array, str], pa.Array] | None,
) -> tuple[list[list[pa.Array]], dict[int, str]]:
    """(the parts of each of our columns, why rows can't be read)."""
    reasons: dict[int, str] = {}
    columns = []
    for field in reading.schema:
        names, kind = names_of(reading, field.name), kind_of(field)
        check_joinable(field, len(names))
        parts = []
        for name in names:
            values = batch.column(name)
            try:
                values = _named(values, labels[name]) if name in labels else values
                bad = _not_utf8(values) if kind in _READ_BY_ROW else None
                if kind == "number" and bad is not None and bad.any() and _is_text(values.type):
                    values = pc.if_else(pa.array(bad), pa.scalar(None, pa.string()), values.cast(pa.string()))
                part = _as_kind(parse(values, kind) if parse else values, kind)
            except BadRowError as error:
                kind_type = batch.column(name).type
                is_mapping = pa.types.is_struct(kind_type) and kind_type.num_fields
                part_of = f". Name a part of it, such as {name}.{kind_type.field(0).name}" if is_mapping else ""
                raise DataError(f"{piece.path}: column '{name}' is {kind_type}: {error}{part_of}") from None
            if kind == "number":
                reasons |= dict.fromkeys(_with_comma(values, part), f"{DECIMAL_COMMA} in column '{name}'")
            reasons |= dict.fromkeys(np.flatnonzero(_not_utf8(part) if bad is None else bad).tolist(), NOT_UTF8)
            parts.append(part)
        columns.append(parts)
    return columns, reasons


def _joined(parts: list[pa.Array]) -> pa.Array:
    """The parts that there are, joined by line breaks; null where there is none."""
    if len(parts) == 1:
        return parts[0]
    filled = [pc.if_else(pc.equal(part, ""), None, part) for part in parts]
    is_filled = reduce(pc.or_, (part.is_valid() for part in filled))
    filled[0] = pc.if_else(is_filled, filled[0], "")  # pyarrow 26 gives no value at all where all are skipped
    joined = pc.binary_join_element_wise(*filled, "\n", null_handling="skip")
    is_given = reduce(pc.or_, (part.is_valid() for part in parts))
    return pc.if_else(is_given, joined, pa.scalar(None, pa.string()))


def _named(values: pa.Array, names: pa.Array) -> pa.Array:
    """The names behind numbers, or lists of numbers; null for -1, which stands for no label."""
    if pa.types.is_list(values.type) or pa.types.is_large_list(values.type):
        values = values.cast(pa.list_(values.type.value_type))
        return _with_members(values, _named(pc.list_flatten(values), names))
    if not pa.types.is_integer(values.type):
        return values  # kept as text, though declared as labels
    is_known = pc.and_(pc.greater_equal(values, 0), pc.less(values, len(names)))
    return names.take(pc.if_else(is_known, values, None))


def _with_members(lists: pa.Array, members: pa.Array) -> pa.Array:
    """`lists` with other members: as many, in the same order."""
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
    return pa.ListArray.from_arrays(offsets, members, mask=lists.is_null())


def _as_kind(values: pa.Array, kind: str) -> pa.Array:
    """`values` as string, list of string, float64, ANSWERS, or MESSAGES."""
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if pa.types.is_binary(values.type):  # as some programs write text into Parquet
        values = values.view(pa.string())
    if kind == "number":
        return _as_numbers(values)
    if kind == "answers":
        return _as_answers(values)
    if kind == "messages":
        return _as_messages(values)
    if kind in LISTS:
        if not _is_list(values.type):
            raise BadRowError("expected a list")
        values = values.cast(pa.list_(values.type.value_type))
        return _with_members(values, _as_kind(pc.list_flatten(values), "text" if kind == "words" else "label"))
    kind_type = values.type
    if pa.types.is_string(kind_type):
        return values
    if _is_text(kind_type) or pa.types.is_null(kind_type):
        return values.cast(pa.string())
    if kind in TEXTS:
        if _is_list(kind_type) and pa.types.is_struct(kind_type.value_type):
            return _from_messages(values, as_one_text, pa.string())
        raise BadRowError("expected text")
    if pa.types.is_integer(kind_type) or pa.types.is_boolean(kind_type):
        return values.cast(pa.string())
    if pa.types.is_temporal(kind_type):
        return _as_times(values)
    if pa.types.is_floating(kind_type) or pa.types.is_decimal(kind_type):
        # pandas writes a missing number as NaN
        plain = [None if value is None or value != value else scalar_text(value) for value in values.to_pylist()]
        return pa.array(plain, type=pa.string())
    raise BadRowError("expected text or numbers")


def _as_times(values: pa.Array) -> pa.Array:
    try:
        return values.cast(pa.string())
    except pa.ArrowInvalid as error:  # a time zone that nobody knows
        raise BadRowError(str(error).partition("\n")[0]) from None


def _as_messages(values: pa.Array) -> pa.Array:
    """`values` as MESSAGES; null where there is no conversation that ends with an answer."""
    if not (_is_list(values.type) and pa.types.is_struct(values.type.value_type)):
        raise BadRowError("expected a list of messages with role and content")
    return _from_messages(values, answered, MESSAGES)


def _from_messages(values: pa.Array, read: Callable[[Any], Any], kind_type: pa.DataType) -> pa.Array:
    """What `read` makes of each conversation; null where it is none."""

    def parsed(value: Any) -> Any:
        try:
            return None if value is None else read(value)
        except NoConversationError:
            return None

    rows = zip(values, _not_utf8(values).tolist(), strict=True)
    return pa.array([None if is_bad else parsed(row.as_py()) for row, is_bad in rows], kind_type)


def _as_numbers(values: pa.Array) -> pa.Array:
    """`values` as float64; null where there is none, or it isn't finite."""
    if pa.types.is_integer(values.type) or pa.types.is_floating(values.type) or pa.types.is_decimal(values.type):
        numbers = values.cast(pa.float64(), safe=False)
        return pc.if_else(pc.is_finite(numbers), numbers, None)
    if not (_is_text(values.type) or pa.types.is_null(values.type)):
        raise BadRowError("expected numbers")

    def parsed(value: str | None) -> float | None:
        try:
            return number(value)
        except BadRowError:
            return None

    return pa.array([parsed(value) for value in values.to_pylist()], pa.float64())


def _with_comma(values: pa.Array, numbers: pa.Array) -> list[int]:
    """The rows of texts that are no number because they have a decimal comma."""
    if not (numbers.null_count and _is_text(values.type)):
        return []
    rows = pc.indices_nonzero(pc.and_(values.is_valid(), numbers.is_null())).to_pylist()
    return [row for row in rows if has_decimal_comma(values[row].as_py())]


def _as_answers(values: pa.Array) -> pa.Array:
    """`values` as ANSWERS; null where they are nothing that `right_answers` takes."""
    kind_type = values.type.value_type if _is_list(values.type) else values.type
    if pa.types.is_struct(kind_type):
        if not kind_type.get_all_field_indices("text"):
            raise BadRowError("expected text and answer_start")
    elif not (_is_text(kind_type) or pa.types.is_null(kind_type)):
        raise BadRowError("expected texts, or text and answer_start")

    def parsed(value: Any) -> dict[str, list[Any]] | None:
        try:
            return right_answers(value)
        except BadRowError:
            return None

    bad = _not_utf8(values).tolist()
    return pa.array([None if is_bad else parsed(row.as_py()) for row, is_bad in zip(values, bad, strict=True)], ANSWERS)


def _is_list(kind_type: pa.DataType) -> bool:
    return bool(
        pa.types.is_list(kind_type) or pa.types.is_large_list(kind_type) or pa.types.is_fixed_size_list(kind_type)
    )


def _is_text(kind_type: pa.DataType) -> bool:
    return bool(
        pa.types.is_string(kind_type) or pa.types.is_large_string(kind_type) or pa.types.is_string_view(kind_type)
    )


def _not_utf8(texts: pa.Array) -> np.ndarray:
    """(rows,) True where a row holds bytes that aren't UTF-8."""
    bad = np.zeros(len(texts), dtype=bool)
    try:
        texts.validate(full=True)
    except pa.ArrowInvalid:
        for row in range(len(texts)):
            try:
                texts.take(pa.array([row])).validate(full=True)  # of a slice all members would be looked at
            except pa.ArrowInvalid:
                bad[row] = True
    return bad
