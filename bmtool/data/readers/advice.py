"""What to do about files of which no row can be read, by the reasons for which their rows were rejected."""

from __future__ import annotations

import re
from shlex import quote
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

NOT_UTF8 = "invalid UTF-8"
BROKEN_JSON = "broken JSON"
NO_OBJECT = "not a JSON object"

DECIMAL_COMMA = "a decimal comma"
WRONG_FIELDS = "wrong number of fields"

#: What to do about 0,5 where a number is wanted.
WITH_POINT = (
    "Numbers are read with a decimal point. Where CSV has a comma, say so, as in sources: {type: csv, path: FILE, "
    'decimal: ","}; anywhere else write 0.5 in place of 0,5'
)

#: What to do about a file in another encoding.
CONVERT = (
    "Files are read as UTF-8; convert others, as in: iconv -f WINDOWS-1252 -t UTF-8 OLD > NEW "
    "(what Excel writes in Europe and America; in China it is GB18030)"
)

#: What to do about a file that is one value, as `json.dump` writes a list of rows.
TO_LINES = (
    "JSON is read with a row on each line; a file that is one list becomes that by: jq -c '.[]' OLD > NEW.jsonl "
    "(for another layout `bmtool init OLD` says by what)"
)

#: What makes rows of a file of questions as SQuAD publishes them, each with the paragraph that it is about.
FROM_SQUAD = ".data[].paragraphs[] | .context as $context | .qas[] | {question, $context, answers}"


#: What to do about texts that are cut where they have a comma.
IN_QUOTES = (
    'A field with a delimiter, a quote or a line break in it stands in quotes, and quotes in it are doubled: "He said '
    '""no"", and left",label'
)


def to_lines(head: bytes, name: str) -> str:
    """By what a file of JSON, which begins so, becomes one with a row on each line; nothing if it seems to be one."""
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    listed = re.search(rb'"(\w+)"\s*:\s*\[\s*\{', start)
    first, has_more, _ = start.partition(b"\n")
    if start.startswith(b"["):
        rows = ".[]"
    elif b'"paragraphs"' in start and b'"context"' in start:
        rows = FROM_SQUAD
    elif has_more and first.rstrip().endswith(b"}"):
        return ""
    elif listed is not None:
        rows = f".{listed[1].decode()}[]"
    elif first.strip() == b"{":
        rows = "."  # rows over several lines
    else:
        return ""
    stem = re.sub(r"\.jsonl?$", "", name)
    new = f"{stem}.jsonl" if not name.endswith(".jsonl") else f"{stem}-rows.jsonl"
    return (
        f"JSON is read with a row on each line; this file becomes that by: jq -c '{rows}' {quote(name)} > {quote(new)}"
    )


def advice(reasons: Iterable[str]) -> str:
    """What to do where all rows were rejected, for these reasons; nothing where they say it themselves."""
    given = list(reasons)
    if NOT_UTF8 in given:
        return CONVERT
    if given and all(reason.startswith(WRONG_FIELDS) for reason in given):
        return IN_QUOTES
    if any(reason.startswith(DECIMAL_COMMA) for reason in given):
        return WITH_POINT
    return TO_LINES if any(reason.startswith((BROKEN_JSON, NO_OBJECT)) for reason in given) else ""
