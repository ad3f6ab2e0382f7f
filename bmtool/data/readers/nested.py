"""Columns within columns: `text.body` is what `body` holds in a mapping `text`, unless a column is called just so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    import pyarrow as pa

#: Deeper mappings have no name; JSON may be nested deeper than Python calls.
MAX_LEVELS = 8


def value_of(row: Mapping[str, Any], name: str) -> Any:
    """What a row holds under a name; None where it holds nothing."""
    if name in row or "." not in name:
        return row.get(name)
    value: Any = row
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def joined_value(row: Mapping[str, Any], names: Sequence[str]) -> Any:
    """What a row holds under a name, or the texts under several of which it has some, joined by line breaks."""
    values = [value_of(row, name) for name in names]
    if len(values) == 1:
        return values[0]
    texts = [value for value in values if value is not None]
    return "\n".join(filter(None, texts)) if texts and all(isinstance(text, str) for text in texts) else None


def names_in(row: Mapping[str, Any], within: str = "") -> Iterator[str]:
    """The names of all that a row holds, mappings and what is within them."""
    for name, value in row.items():
        yield within + name
        if isinstance(value, dict) and within.count(".") < MAX_LEVELS:
            yield from names_in(value, f"{within}{name}.")


def names_of(schema: pa.Schema | pa.StructType, within: str = "") -> Iterator[str]:
    """The same of a file with types."""
    import pyarrow as pa

    for field in schema:
        yield within + field.name
        if pa.types.is_struct(field.type) and within.count(".") < MAX_LEVELS:
            yield from names_of(field.type, f"{within}{field.name}.")


def columns_of(batch: pa.RecordBatch, names: Collection[str]) -> pa.RecordBatch:
    """A batch with these columns, which it has by themselves or within others."""
    import pyarrow as pa

    return pa.record_batch([_column_of(batch, name) for name in names], names=list(names))


def _column_of(batch: pa.RecordBatch, name: str) -> pa.Array:
    import pyarrow.compute as pc

    if name in batch.schema.names:
        return batch.column(name)
    place, *parts = name.split(".")
    return pc.struct_field(batch.column(place), parts)
