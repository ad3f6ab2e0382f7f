"""What to do about files of which no row can be read, by the reasons for which their rows were rejected."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

NOT_UTF8 = "invalid UTF-8"
BROKEN_JSON = "broken JSON"
NO_OBJECT = "not a JSON object"

DECIMAL_COMMA = "a decimal comma"

#: What to do about 0,5 where a number is wanted.
WITH_POINT = (
    "Numbers are read with a decimal point. Where CSV has a comma, say so, as in sources: {type: csv, path: FILE, "
    'decimal: ","}; anywhere else write 0.5 in place of 0,5'
)

#: What to do about a file in another encoding.
CONVERT = "Files are read as UTF-8; convert others, as in: iconv -f GB18030 -t UTF-8 OLD > NEW"

#: What to do about a file that is one value, as `json.dump` writes a list of rows.
TO_LINES = "JSON is read with a row on each line; a file that is one list becomes that by: jq -c '.[]' OLD > NEW.jsonl"


def advice(reasons: Iterable[str]) -> str:
    """What to do where all rows were rejected, for these reasons; nothing where they say it themselves."""
    given = list(reasons)
    if NOT_UTF8 in given:
        return CONVERT
    if any(reason.startswith(DECIMAL_COMMA) for reason in given):
        return WITH_POINT
    return TO_LINES if any(reason.startswith((BROKEN_JSON, NO_OBJECT)) for reason in given) else ""
