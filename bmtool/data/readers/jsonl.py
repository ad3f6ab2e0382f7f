"""Read JSON lines: one object a line, plain or gzipped."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bmtool.data.files import object_on, read_lines
from bmtool.data.rows import RowBuffer, missing_columns

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

    Raises:
        DataError: a column is in no row of a file, or the file's compression is damaged.
    """
    for name, path in files:
        buffer = RowBuffer(name, schema, mapping, reject)
        unseen, num_objects, sample = set(buffer.theirs), 0, dict[str, None]()
        for line, raw in read_lines(path):
            if raw is not None and not raw.strip():
                continue
            row = object_on(raw)
            if isinstance(row, str):
                buffer.refuse(line, row)
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
