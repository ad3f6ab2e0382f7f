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
        self.columns = columns
        self.views = [_values(column) for column in columns]
        self.bases = np.concatenate([[0], np.cumsum([len(view) for view in self.views])]).astype(np.int64)

    @property
    def starts(self) -> NDArray[Any]:
        """(rows,) where each document starts in the one long array; int32 where that is enough. Made anew each time."""
        starts = np.empty(sum(map(len, self.columns)), narrowest(int(self.bases[-1])))
        end = 0
        for column, base in zip(self.columns, self.bases, strict=False):
            offsets = column.offsets.to_numpy()
            starts[end : end + len(column)] = offsets[:-1] + (base - offsets[0])
            end += len(column)
        return starts

    @property
    def lengths(self) -> NDArray[Any]:
        """(rows,) tokens of each document, int32. Made anew each time."""
        lengths = [np.diff(column.offsets.to_numpy()) for column in self.columns]
        return np.concatenate([np.zeros(0, np.int32), *lengths])

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


def narrowest(largest: int) -> Any:
    """The type of an array over all documents: of ten million, half as wide a one saves 40 MB."""
    return np.int32 if largest <= np.iinfo(np.int32).max else np.int64
