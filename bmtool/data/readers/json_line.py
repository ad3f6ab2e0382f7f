"""Parse one JSON object on a line of a file that may hold anything."""

from __future__ import annotations

import json
import re
from typing import Any

import orjson

from bmtool.data.readers.advice import BROKEN_JSON, NO_OBJECT, NOT_UTF8
from bmtool.data.readers.lines import MAX_LINE_BYTES, TOO_LONG

#: A line with more commas holds no text. Parsed, a value may take 60 times the bytes that it takes on the line.
MAX_COMMAS = 4_000_000
TOO_MANY = f"a line of more than {MAX_COMMAS:,} values"

#: Digits that may be a whole number which orjson gives as a float.
_LONG_NUMBER = re.compile(rb"\d{19}")


class _ConstantError(ValueError):
    """NaN and Infinity, which Python's parser takes and JSON doesn't know."""


def _refuse_constant(name: str) -> None:
    raise _ConstantError(name)


_STRICT, _LENIENT = json.JSONDecoder(parse_constant=_refuse_constant), json.JSONDecoder()


def object_on(line: bytes | None, *, as_it_is: bool = False) -> dict[str, Any] | str:
    """The JSON object on a line that `lines_of` gave; or why there is none.

    What orjson refuses is put before Python's parser, which knows numbers of any length and says what is wrong; a half
    of a surrogate pair is only found out later, if someone wants it. (pyarrow's parser crashes on deep nesting.)
    With `as_it_is` NaN is taken and whole numbers of any length stay exact, so that the row can be written again.
    """
    if line is None or len(line) > MAX_LINE_BYTES:
        return TOO_LONG
    if len(line) > MAX_COMMAS and line.count(b",") > MAX_COMMAS:
        return TOO_MANY
    if as_it_is and _LONG_NUMBER.search(line):
        return _slowly(line, _LENIENT)
    try:
        row = orjson.loads(line)
    except orjson.JSONDecodeError:
        return _slowly(line, _LENIENT if as_it_is else _STRICT)
    return row if isinstance(row, dict) else NO_OBJECT


def _slowly(line: bytes, parser: json.JSONDecoder) -> dict[str, Any] | str:
    try:
        row = parser.decode(line.decode("utf-8"))
    except UnicodeDecodeError:
        return NOT_UTF8
    except RecursionError:
        return "JSON nested too deeply"
    except _ConstantError as error:
        return f"{BROKEN_JSON}: {error} is no value of JSON; a missing one is null"
    except ValueError:
        return BROKEN_JSON
    return row if isinstance(row, dict) else NO_OBJECT
