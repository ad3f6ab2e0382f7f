"""What a field of CSV stands for besides a text: a number with a decimal comma, or several labels or words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bmtool.contracts.kinds import LISTS

if TYPE_CHECKING:
    from collections.abc import Callable


def parser(decimal: str, list_separator: str | None) -> Callable[[pa.Array, str], pa.Array]:
    """A function of a column of text (N,) and its kind: numbers with a decimal point, lists, or the text as it is."""

    def parse(values: pa.Array, kind: str) -> pa.Array:
        if kind == "number" and decimal == ",":
            return _with_points(values)
        if kind in LISTS and list_separator is not None:
            return _lists(values, list_separator, has_none=kind == "labels")
        return values

    return parse


def _with_points(values: pa.Array) -> pa.Array:
    """Points in place of commas; null where there is a point, which may stand for thousands."""
    pointed = pc.replace_substring(values, ",", ".")
    return pc.if_else(pc.fill_null(pc.match_substring(values, "."), False), pa.scalar(None, pa.string()), pointed)


def _lists(values: pa.Array, separator: str, *, has_none: bool) -> pa.Array:
    """Lists of the parts, without white space around them, but for empty ones.

    An empty field is the empty list where a row may have none of what the column holds, else null. Bytes that aren't
    UTF-8 stay.
    """
    given = values.is_valid()
    texts = pc.if_else(given, values, pa.scalar("", pa.string())).view(pa.binary())
    parts = pc.split_pattern(texts, pattern=separator.encode())
    flat = pc.ascii_trim(pc.list_flatten(parts).view(pa.string()), " \t")
    is_part = pc.greater(pc.binary_length(flat), 0)
    rows = pc.list_parent_indices(parts).filter(is_part).to_numpy(zero_copy_only=False)
    offsets = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(values)))])
    mask = None if has_none else pc.invert(given)
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), flat.filter(is_part), mask=mask)
