"""Put the examples of several corpora one after the other, without copying their tokens."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bmtool.data.pieces import Computed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from bmtool.contracts import Examples, Lookup, TokenSource

#: A start holds the number of its source above so many bits, and the place in that source below them.
_PLACE_BITS = 48


@dataclass(frozen=True)
class JoinedTokens:
    """Several token sources as one: a start says which of them it is in."""

    sources: tuple[TokenSource, ...]

    def gather(self, starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[Any]:
        """The tokens of the given spans one after the other: (sum of lengths,)."""
        numbers, places = starts >> _PLACE_BITS, starts & ((1 << _PLACE_BITS) - 1)
        ends = np.cumsum(lengths)
        tokens = np.empty(int(ends[-1]) if len(ends) else 0, np.int64)
        for number, source in enumerate(self.sources):
            own = np.flatnonzero(numbers == number)
            if len(own):
                counts = lengths[own]
                inside = np.arange(int(counts.sum())) - np.repeat(np.cumsum(counts) - counts, counts)
                tokens[np.repeat(ends[own] - counts, counts) + inside] = source.gather(places[own], counts)
        return tokens


@dataclass(frozen=True)
class Joined(Computed):
    """Numbers of several parts one behind the other, each with a number of the part's own added."""

    parts: Sequence[Lookup]
    added: Sequence[int]

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    def __getitem__(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """(rows,) in the type of the parts, or the widest of them."""
        found = np.empty(len(rows), np.result_type(*(part[rows[:0]] for part in self.parts)))
        end = 0
        for part, added in zip(self.parts, self.added, strict=True):
            start, end = end, end + len(part)
            own = np.flatnonzero((rows >= start) & (rows < end))
            found[own] = part[rows[own] - start]
            if added:
                found[own] += added
        return found


def join_examples(parts: Sequence[Examples]) -> Examples:
    """All examples in order. A `document` number of a later part goes on behind those of the parts before.

    Raises:
        ValueError: they were encoded for different models.
    """
    first = parts[0]
    for other in parts[1:]:
        if (other.prefix, other.suffix, other.vocab_size) != (first.prefix, first.suffix, first.vocab_size):
            raise ValueError("examples that were encoded in different ways can't be joined")
    cut: Counter[str] = Counter()
    for part in parts:
        cut.update(part.cut)
    return replace(
        first,
        tokens=JoinedTokens(tuple(part.tokens for part in parts)),
        starts=Joined([part.starts for part in parts], [number << _PLACE_BITS for number in range(len(parts))]),
        lengths=np.concatenate([part.lengths for part in parts]),
        columns={name: _joined_column(parts, name) for name in first.columns},
        cut=dict(cut),
    )


def _joined_column(parts: Sequence[Examples], name: str) -> Lookup:
    columns = [part.columns[name] for part in parts]
    added = [0] * len(parts)
    if name == "document":
        counts = [int(column[np.array([len(column) - 1])][0]) + 1 if len(column) else 0 for column in columns]
        added = [sum(counts[:number]) for number in range(len(parts))]
    if all(isinstance(column, np.ndarray) for column in columns):
        return np.concatenate([column + more if more else column for column, more in zip(columns, added, strict=True)])
    return Joined(columns, added)
