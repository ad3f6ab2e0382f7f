"""Flat token ids of a split, in memory or memory-mapped batch by batch: the one module that knows about batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa
    from numpy.typing import NDArray


@dataclass(frozen=True)
class InMemoryTokens:
    """Token ids in one array, (T,)."""

    ids: NDArray[Any]

    def gather(self, starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[Any]:
        """The tokens of the given spans one after the other: (sum of lengths,)."""
        spans = [self.ids[start : start + length] for start, length in zip(starts, lengths, strict=True)]
        return np.concatenate([self.ids[:0], *spans])


class MappedTokens:
    """Token ids of record batches, seen as one long array; only the pages that are read are ever in memory.

    A span lies within one document, and so within one batch.
    """

    def __init__(self, columns: Sequence[pa.ListArray]) -> None:
        self.views = [_values(column) for column in columns]
        self.bases = np.concatenate([[0], np.cumsum([len(view) for view in self.views])]).astype(np.int64)
        self.starts, self.lengths = _spans(columns, self.bases)

    def gather(self, starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[Any]:
        """The tokens of the given spans one after the other: (sum of lengths,)."""
        batches = np.searchsorted(self.bases, starts, side="right") - 1
        inside = starts - self.bases[batches]
        spans = [
            self.views[batch][start : start + length]
            for batch, start, length in zip(batches.tolist(), inside.tolist(), lengths.tolist(), strict=True)
            if length
        ]
        return np.concatenate(spans) if spans else np.zeros(0, np.uint16)


def _values(column: pa.ListArray) -> NDArray[Any]:
    """A view (no copy) of a batch's token ids."""
    first, last = column.offsets[0].as_py(), column.offsets[-1].as_py()
    return np.asarray(column.values.slice(first, last - first).to_numpy(zero_copy_only=True))


def _spans(columns: Sequence[pa.ListArray], bases: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(starts, lengths), (rows,) each, of all documents in the one long array."""
    starts, lengths = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for column, base in zip(columns, bases, strict=False):
        offsets = column.offsets.to_numpy().astype(np.int64)
        starts.append(offsets[:-1] - offsets[0] + base)
        lengths.append(np.diff(offsets))
    return np.concatenate(starts), np.concatenate(lengths)
