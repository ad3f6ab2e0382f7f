"""A few rows of a source, for a smoke run, without reading all of it: the starts of its files, rows spread over each.

Spread, since files of labelled rows are often sorted by label.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from bmtool.data.passes.units import unit_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from bmtool.contracts import Piece
    from bmtool.data.passes.units import RowRules, Unit

#: No further file is opened once the pieces hold this much text.
MAX_BYTES = 64 * 1024 * 1024


def few_units(
    rules: RowRules,
    source: int,
    files: Sequence[tuple[str, Path]],
    pieces: Callable[[str, Path], Iterable[Piece]],
    max_rows: int,
) -> Iterator[Unit]:
    """One unit of the first pieces of at most `max_rows` files, at equal distances; none for a source without any."""
    found: list[Piece] = []
    for name, path in files[:: max(1, -(-len(files) // max_rows))]:
        found += islice(pieces(name, path), 1)
        if sum(piece.size for piece in found) >= MAX_BYTES:
            break
    if found:
        yield unit_of(source, rules.identity(source), found)


def few_rows(batches: Iterator[pa.RecordBatch], count: int) -> Iterator[pa.RecordBatch]:
    """`count` rows at equal distances of all that come, or all of them."""
    whole = list(batches)
    total = sum(batch.num_rows for batch in whole)
    places = np.arange(total) if total <= count else np.arange(count) * total // count
    start = 0
    for batch in whole:
        inside = places[(places >= start) & (places < start + batch.num_rows)] - start
        start += batch.num_rows
        if len(inside):
            yield batch.take(pa.array(inside))
