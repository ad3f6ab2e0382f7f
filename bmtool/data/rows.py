"""Rows as they come from a source: their types, what makes one unreadable, and the id that follows from its content.

What kinds of columns there are says `bmtool.contracts.kinds`. Labels and kept columns are text whatever they were in
the source: 5 becomes `5`, 5.0 becomes `5` and true becomes `true`.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import xxhash

from bmtool.contracts.kinds import LISTS, TEXTS
from bmtool.data.messages import MESSAGES, NoConversationError, answered, as_one_text, contents
from bmtool.errors import DataError, close_to

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

#: A record batch in memory and on disk holds no more than this (a longer row has one of its own).
MAX_BATCH_ROWS = 8192
MAX_BATCH_BYTES = 4 * 1024 * 1024

#: Texts and where they start, in characters from 0; -1 where nobody said. As SQuAD has them.
ANSWERS = pa.struct([("text", pa.list_(pa.string())), ("answer_start", pa.list_(pa.int32()))])


class BadRowError(Exception):
    """A row that can't be read, and why; readers turn it into a rejection."""


def schema_of(kinds: Mapping[str, str]) -> pa.Schema:
    """The schema to read columns with, by name and kind; only `extra` ones may be null."""
    nested = {**dict.fromkeys(LISTS, pa.list_(pa.string())), "answers": ANSWERS, "messages": MESSAGES}
    special = {**nested, "number": pa.float64()}
    return pa.schema(
        [
            pa.field(name, special.get(kind, pa.string()), nullable=kind == "extra", metadata={"kind": kind})
            for name, kind in kinds.items()
        ]
    )


def kind_of(field: pa.Field) -> str:
    """The kind of a column that `schema_of` made; a field without one is `text`, or `words` if it is a list."""
    kind = (field.metadata or {}).get(b"kind")
    if kind is not None:
        return str(kind.decode())
    return "words" if pa.types.is_list(field.type) else "text"


def scalar_text(value: Any) -> str | None:
    """A label as text: `5` for 5, 5.0 and the decimal 5.00, `true` for True; None stays None.

    Raises:
        BadRowError: it is a list, a mapping, or no finite number.
    """
    if value is None or type(value) is str:
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, int) or (isinstance(value, float) and value - value == 0):
        return str(value)
    if isinstance(value, Decimal) and value.is_finite():
        digits = f"{value or abs(value):f}"  # not normalize(), which rounds to 28 digits
        return digits.rstrip("0").rstrip(".") if "." in digits else digits
    raise BadRowError(f"expected one value, got {_describe(value)}")


def number(value: Any) -> float | None:
    """A number, or a text that is one, as a float; None stays None.

    Raises:
        BadRowError: it is neither, or it isn't finite.
    """
    if value is None or value == "":
        return None
    try:
        result = float(value) if isinstance(value, int | float | str) and not isinstance(value, bool) else None
    except (ValueError, OverflowError):
        result = None
    if result is None or not math.isfinite(result):
        raise BadRowError(f"expected a number, got {_describe(value)}")
    return result


def right_answers(value: Any) -> dict[str, list[Any]]:
    """The answers to a question as ANSWERS has them; no texts where there is none, or only empty ones.

    They are given as a mapping of lists `text` and `answer_start` (SQuAD in `datasets`), as a list of such mappings of
    one each (SQuAD's own files), or without places: as a list of texts, or as one text.

    Raises:
        BadRowError: they are something else, or there are more or fewer starts than texts.
    """
    if isinstance(value, dict):
        texts, starts = value.get("text"), value.get("answer_start")
    elif isinstance(value, list) and any(isinstance(one, dict) for one in value):
        each = [one if isinstance(one, dict) else {"text": one} for one in value]
        texts, starts = [one.get("text") for one in each], [one.get("answer_start") for one in each]
    else:
        texts, starts = value, None
    texts = [] if texts is None else texts if isinstance(texts, list) else [texts]
    starts = [-1] * len(texts) if starts is None else starts if isinstance(starts, list) else [starts]
    if len(texts) != len(starts):
        raise BadRowError(f"{len(texts)} texts and {len(starts)} starts")
    for text in texts:
        if not isinstance(text, str):
            raise BadRowError(f"expected texts, got {_describe(text)}")
    pairs = [(text, _place(start)) for text, start in zip(texts, starts, strict=True) if text]
    return {"text": [text for text, _ in pairs], "answer_start": [start for _, start in pairs]}


def _place(value: Any) -> int:
    """Where a text starts, as int32; -1 for None, or for NaN, as which pandas writes a missing number."""
    if value is None or value != value:
        return -1
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if type(value) is not int or not -1 <= value < 2**31:
        raise BadRowError("a start must be a whole number, from 0")
    return value


def converter(kind: str) -> Callable[[Any], Any]:
    """A function that turns a plain value of a source into what a column of `kind` holds, or raises BadRowError."""

    def text(value: Any) -> str | None:
        if value is None or type(value) is str:
            return value
        try:
            return as_one_text(value)
        except NoConversationError:
            raise BadRowError(f"expected text, got {_describe(value)}") from None

    def many(one: Callable[[Any], str | None]) -> Callable[[Any], list[str | None] | None]:
        def convert(value: Any) -> list[str | None] | None:
            if value is None:
                return None
            if type(value) is not list:
                raise BadRowError(f"expected a list, got {_describe(value)}")
            return [one(member) for member in value]

        return convert

    def messages(value: Any) -> list[dict[str, str]] | None:
        try:
            return answered(value)
        except NoConversationError as error:
            raise BadRowError(str(error)) from None

    own: dict[str, Callable[[Any], Any]] = {
        **dict.fromkeys(TEXTS, text),
        "words": many(text),
        "number": number,
        "answers": right_answers,
        "messages": messages,
    }
    return own.get(kind, many(scalar_text) if kind in LISTS else scalar_text)


def _describe(value: Any) -> str:
    names = {dict: "a mapping", list: "a list", bool: "true or false", int: "a number", float: "a number", str: "text"}
    return names.get(type(value), type(value).__name__)


def missing_columns(
    path: Path | str, missing: Collection[str], known: Sequence[str], columns: Mapping[str, str | tuple[str, ...]]
) -> DataError:
    """The error for columns that a whole file doesn't have: it names those it has, and the line that mends it.

    `missing` are the source's names, `columns` our names with theirs, as `Reading` has them.
    """
    missing = sorted(missing)
    ours = {name: our for our, theirs in columns.items() for name in ([theirs] if isinstance(theirs, str) else theirs)}
    names = list(dict.fromkeys(ours.get(name, name) for name in missing))
    known = [name if name.isprintable() else ascii(name) for name in known]
    shown = ", ".join(known[:20]) + (", ..." if len(known) > 20 else "")
    meant = (f"{name}: {_meant(columns.get(name, name), missing, known)}" for name in names)
    return DataError(
        f"{path}: there is no column {' and no column '.join(map(repr, missing))}. Its columns are: {shown or 'none'}. "
        f"Say which one is {' and which one is '.join(map(repr, names))} under 'columns', "
        f"as in columns: {{{', '.join(meant)}}}"
    )


def _meant(theirs: str | tuple[str, ...], missing: Sequence[str], known: Sequence[str]) -> str:
    """What to write for a column: the name that each missing one is most like; the parts of a joined one as a list."""
    names = (theirs,) if isinstance(theirs, str) else theirs
    likely = [(close_to(name, known) or "NAME") if name in missing else name for name in names]
    return likely[0] if isinstance(theirs, str) else f"[{', '.join(likely)}]"


def row_ids(batch: pa.RecordBatch) -> pa.Array:
    """32 hex digits a row: xxh3_128 over the names and values of its columns as read, in the order of the names.

    It depends on nothing else: not on the file, the position, or the order of the columns. Each value goes in with its
    length in front, so that no two different rows are written alike.
    """
    parts = []
    for name in sorted(batch.schema.names):
        parts += [pa.scalar(f"{len(name)}:{name}"), _framed(batch.column(name))]
    joined = pc.binary_join_element_wise(*parts, "") if batch.num_rows else pa.array([], pa.string())
    digest = xxhash.xxh3_128_hexdigest
    return pa.array([digest(value) for value in joined.cast(pa.binary()).to_pylist()], type=pa.string())


def _framed(column: pa.Array) -> pa.Array:
    """`5:hello` for `hello`, `-` for null; of a list the framed members behind their number, of a struct its fields."""
    if pa.types.is_struct(column.type):
        return pc.binary_join_element_wise(*map(_framed, column.flatten()), "")
    if pa.types.is_list(column.type):
        flat = _framed(pc.list_flatten(column))
        lengths = pc.fill_null(pc.list_value_length(column), 0)
        offsets = np.concatenate([[0], np.cumsum(lengths.to_numpy(zero_copy_only=False))]).astype(np.int32)
        joined = pc.binary_join(pa.ListArray.from_arrays(pa.array(offsets), flat), "")
        return pc.binary_join_element_wise(lengths.cast(pa.string()), "[", joined, "")
    if not pa.types.is_string(column.type):
        column = column.cast(pa.string())
    length = pc.binary_length(column).cast(pa.string())
    return pc.fill_null(pc.binary_join_element_wise(length, column, ":"), "-")


def text_bytes(batch: pa.RecordBatch, names: Sequence[str]) -> NDArray[np.int64]:
    """(rows,) UTF-8 bytes of the text in the named columns, lists of text and answers included; numbers have none."""
    total = np.zeros(batch.num_rows, dtype=np.int64)
    for name in names:
        column = batch.column(name)
        if column.type == ANSWERS:
            column = column.field("text")
        if column.type == MESSAGES:
            column = contents(column)
        if pa.types.is_list(column.type):
            sizes = pc.fill_null(pc.binary_length(pc.list_flatten(column)), 0).to_numpy(zero_copy_only=False)
            parents = pc.list_parent_indices(column).to_numpy(zero_copy_only=False)
            total += np.bincount(parents, weights=sizes, minlength=batch.num_rows).astype(np.int64)
        elif pa.types.is_string(column.type):
            total += pc.fill_null(pc.binary_length(column), 0).to_numpy(zero_copy_only=False)
    return total
