"""Read JSON lines: one object a line, plain or gzipped."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from bmtool.data.files import MAX_LINE_BYTES, read_lines
from bmtool.data.rows import BadRowError, RowBuffer
from bmtool.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    import pyarrow as pa

    from bmtool.contracts import Rejected

#: A column that none of so many rows has is a mistake in the configuration, not a gap in the data.
ROWS_BEFORE_MISSING = 10_000


def read_jsonl(
    files: Sequence[tuple[str, Path]],
    mapping: Mapping[str, str],
    schema: pa.Schema,
    reject: Callable[[Rejected], None],
) -> Iterator[pa.RecordBatch]:
    """Batches with `schema`'s columns from the given files, in order.

    Python's own parser reads each line: pyarrow's crashes on deep nesting.

    Raises:
        DataError: a column is in no row of a file, or the file's compression is damaged.
    """
    for name, path in files:
        buffer = RowBuffer(name, schema, mapping, reject)
        unseen, num_objects, sample = set(buffer.theirs), 0, dict[str, None]()
        for line, raw in read_lines(path):
            row = _parse(buffer, line, raw)
            if row is None:
                continue
            num_objects += 1
            if unseen:
                unseen -= row.keys()
                sample |= dict.fromkeys(row)
                if unseen and num_objects >= ROWS_BEFORE_MISSING:
                    break
            if buffer.add(line, [row.get(column) for column in buffer.theirs]):
                yield from buffer.flush()
        if unseen and num_objects:
            raise missing_columns(path, sorted(unseen), list(sample), mapping)
        yield from buffer.flush()


def missing_columns(path: Path | str, missing: list[str], known: list[str], mapping: Mapping[str, str]) -> DataError:
    """The error for columns that a whole file doesn't have: it names those it has, and the line that mends it."""
    ours = {theirs: name for name, theirs in mapping.items()}
    first = ours.get(missing[0], missing[0])
    shown = ", ".join(known[:20]) + (", ..." if len(known) > 20 else "")
    example = f"columns: {{{first}: {known[0] if known else 'NAME'}}}"
    return DataError(
        f"{path}: there is no column {' and no column '.join(repr(name) for name in missing)}. Its columns are: "
        f"{shown or 'none'}. Say which one is '{first}' under 'columns', as in {example}"
    )


def _parse(buffer: RowBuffer, line: int, raw: bytes | None) -> dict[str, Any] | None:
    """The object on a line; None for a blank line and for one that was rejected."""
    if raw is None:
        buffer.refuse(line, f"a line of more than {MAX_LINE_BYTES // 1024**2} MiB")
        return None
    try:
        text = raw.decode("utf-8")
        if not text.strip():
            return None
        row = _DECODER.decode(text)
    except UnicodeDecodeError:
        buffer.refuse(line, "invalid UTF-8")
    except RecursionError:
        buffer.refuse(line, "JSON nested too deeply")
    except (ValueError, BadRowError):
        buffer.refuse(line, "broken JSON")
    else:
        if isinstance(row, dict):
            return row
        buffer.refuse(line, "JSON, but no object")
    return None


def _refuse_constant(name: str) -> None:
    """NaN and Infinity, which Python's parser takes and JSON doesn't know."""
    raise BadRowError(name)


_DECODER = json.JSONDecoder(parse_constant=_refuse_constant)
