"""Flat token ids of a split, in memory or memory-mapped batch by batch: the one module that knows about batches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

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


class MappedSizes:
    """How long each row's text or list of tokens is, from the offsets of record batches, which stay memory-mapped."""

    def __init__(self, columns: Sequence[pa.Array]) -> None:
        self.offsets = [_offsets(column) for column in columns]
        self.rows = _running([len(offsets) - 1 for offsets in self.offsets])
        self.places = _running([int(offsets[-1] - offsets[0]) for offsets in self.offsets])

    def batches(self) -> Iterator[NDArray[np.int32]]:
        """The sizes of all rows, batch by batch."""
        return map(np.diff, self.offsets)

    def of(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """The sizes of some rows, (rows,)."""
        sizes = np.empty(len(rows), np.int64)
        for batch, own in _by_batch(self.rows, rows):
            inside = rows[own] - self.rows[batch]
            sizes[own] = self.offsets[batch][inside + 1] - self.offsets[batch][inside]
        return sizes

    def owners(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        """Which row each byte or token is of, by its place in the one long array of all of them, (places,)."""
        owners = np.empty(len(places), np.int64)
        for batch, own in _by_batch(self.places, places):
            offsets = self.offsets[batch]
            inside = places[own] - self.places[batch] + offsets[0]
            owners[own] = self.rows[batch] + np.searchsorted(offsets, inside, side="right") - 1
        return owners


class MappedTokens:
    """Token ids of record batches, seen as one long array; only the pages that are read are ever in memory.

    A span lies within one document, and so within one batch.
    """

    def __init__(self, columns: Sequence[pa.ListArray]) -> None:
        self.views = [_values(column) for column in columns]
        self.sizes = MappedSizes(columns)

    def gather(self, starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[Any]:
        """The tokens of the given spans one after the other: (sum of lengths,)."""
        bases = self.sizes.places
        batches = np.searchsorted(bases, starts, side="right") - 1
        inside = starts - bases[batches]
        spans = [
            self.views[batch][start : start + length]
            for batch, start, length in zip(batches.tolist(), inside.tolist(), lengths.tolist(), strict=True)
            if length
        ]
        return np.concatenate(spans) if spans else np.zeros(0, np.uint16)


def narrowest(largest: int, *, may_be_short: bool = False) -> Any:
    """The type of an array over all documents: of ten million, half as wide a one saves 40 MB, or 20 if it is short."""
    kinds = (np.int16, np.int32, np.int64) if may_be_short else (np.int32, np.int64)
    return next(kind for kind in kinds if largest <= np.iinfo(kind).max)


def _values(column: pa.ListArray) -> NDArray[Any]:
    """A view (no copy) of a batch's token ids."""
    first, last = column.offsets[0].as_py(), column.offsets[-1].as_py()
    return np.asarray(column.values.slice(first, last - first).to_numpy(zero_copy_only=True))


def _offsets(column: pa.Array) -> NDArray[np.int32]:
    """A view of where each row begins, and of where the last one ends."""
    if not len(column):
        return np.zeros(1, np.int32)
    return np.frombuffer(column.buffers()[1], np.int32, len(column) + 1, 4 * column.offset)


def _running(sizes: Sequence[int]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def _by_batch(bases: NDArray[np.int64], wanted: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Each batch that something is wanted of, and which of `wanted` that is."""
    batches = np.searchsorted(bases, wanted, side="right") - 1  # behind empty ones, which begin where it begins
    order = np.argsort(batches, kind="stable")
    borders = np.flatnonzero(np.diff(batches[order], prepend=-1))
    for own in np.split(order, borders[1:]):
        if len(own):
            yield int(batches[own[0]]), own
