"""Put the examples of several corpora one after the other, without copying their tokens."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from bmtool.contracts import Examples, TokenSource

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


def join_examples(parts: Sequence[Examples]) -> Examples:
    """All examples in order. A `document` number of a later part goes on behind those of the parts before.

    Raises:
        ValueError: they were encoded for different models.
    """
    first = parts[0]
    for other in parts[1:]:
        if (other.prefix, other.suffix, other.vocab_size) != (first.prefix, first.suffix, first.vocab_size):
            raise ValueError("examples that were encoded in different ways can't be joined")
    starts = [part.starts.astype(np.int64) + (number << _PLACE_BITS) for number, part in enumerate(parts)]
    cut: Counter[str] = Counter()
    for part in parts:
        cut.update(part.cut)
    return replace(
        first,
        tokens=JoinedTokens(tuple(part.tokens for part in parts)),
        starts=np.concatenate(starts),
        lengths=np.concatenate([part.lengths for part in parts]),
        columns={name: _joined_column(parts, name) for name in first.columns},
        cut=dict(cut),
    )


def _joined_column(parts: Sequence[Examples], name: str) -> NDArray[Any]:
    columns = [np.asarray(part.columns[name]) for part in parts]
    if name == "document":
        counts = [int(column.max(initial=-1)) + 1 for column in columns]
        columns = [column + sum(counts[:number]) for number, column in enumerate(columns)]
    return np.concatenate(columns)
