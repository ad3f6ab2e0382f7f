"""Read JSON lines: one object a line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from bmtool.contracts import Rejected
from bmtool.data.readers.advice import TO_LINES
from bmtool.data.readers.buffer import line_groups, to_batch, wanted
from bmtool.data.readers.json_line import object_on
from bmtool.data.readers.lines import bytes_of
from bmtool.data.readers.nested import names_in, value_of
from bmtool.data.rows import MAX_BATCH_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import pyarrow as pa

    from bmtool.contracts import Piece, Reading

#: From here on orjson gives whole numbers as floats.
_INEXACT = float(2**63)

#: Detail of the first line of a file that is one list of objects, on one line or many.
LIST_BEGINS = f": a list begins here. {TO_LINES}"

#: So many names of columns are kept for the message about a missing one.
_SHOWN_COLUMNS = 50


def read_jsonl(piece: Piece, reading: Reading) -> Iterator[pa.RecordBatch]:
    """Batches from the lines of a piece; a line that is no object, or lacks a value, is rejected. Blank ones are none.

    Columns that no object has are left in `reading.unseen`.
    """
    theirs = wanted(reading)
    reading.unseen.update(theirs)
    known = dict[str, None]()
    for skipped, lines in line_groups(bytes_of(piece)):
        first = piece.first + skipped
        places, rows = _objects(first, lines, piece.file, reading)
        for row in rows:
            if not reading.unseen:
                break
            names = list(names_in(row))
            reading.unseen.difference_update(names)
            if len(known) < _SHOWN_COLUMNS:
                known |= dict.fromkeys(names)
        if rows:
            columns = [[value_of(row, name) for row in rows] for name in theirs]
            for name, column in zip(theirs, columns, strict=True):
                if _may_round(column):
                    _make_exact(column, name, [lines[place - first] for place in places])
            yield from to_batch(reading, piece.file, places, columns)
    reading.known[:] = list(known)[:_SHOWN_COLUMNS]


def _objects(first: int, lines: list[bytes], file: str, reading: Reading) -> tuple[Any, list[dict[str, Any]]]:
    """(numbers of their lines, objects); the others are rejected."""
    if len(lines[0]) <= MAX_BATCH_BYTES:  # a longer one is alone, and looked at before it is parsed
        try:
            rows = list(map(orjson.loads, lines))
            if set(map(type, rows)) == {dict}:
                return np.arange(first, first + len(rows)), rows
        except orjson.JSONDecodeError:
            pass  # which of them it was is found out below
    places, rows = [], []
    for place, line in enumerate(lines, first):
        if line.strip():
            row = object_on(line)
            if isinstance(row, str):
                is_list = place == 1 and line.lstrip().startswith(b"[") and ": " not in row
                reading.reject(Rejected(file, place, row + LIST_BEGINS if is_list else row))
            else:
                places.append(place)
                rows.append(row)
    return places, rows


def _may_round(values: Sequence[Any]) -> bool:
    """Whether a whole number among `values`, or in a list of them, may have been read as a float."""
    types = set(map(type, values))
    if float in types and any(type(value) is float and abs(value) >= _INEXACT for value in values):
        return True
    return list in types and any(type(value) is list and _may_round(value) for value in values)


def _make_exact(column: list[Any], name: str, lines: Sequence[bytes]) -> None:
    """Read a column once more, from the given lines, with a parser that knows numbers of any length."""
    for row, line in enumerate(lines):
        if _may_round([column[row]]):
            column[row] = value_of(json.loads(line), name)
