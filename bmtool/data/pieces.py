"""Pieces of a split's documents: of each only its length is held, and the rest is worked out for those asked for.

Of ten million pieces an array of eight bytes each takes 80 MB. Shape letters: N pieces, R of them that are asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bmtool.data.tokens import MappedSizes, narrowest

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bmtool.contracts import Lookup
    from bmtool.data.dataset import Split

#: The start of every so manieth piece is held: of ten million 2.5 MB, and a line of the processor's cache is added up.
HELD_EVERY = 32

#: Of all numbers so many are worked out at once.
COMPUTED_AT_ONCE = 65536


class Computed:
    """Numbers of N pieces that aren't held. `numbers[rows]` and `np.asarray(numbers)` are as with an array."""

    def __len__(self) -> int:
        raise NotImplementedError

    def __getitem__(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        raise NotImplementedError

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        """All of them, (N,)."""
        every = np.empty(len(self), dtype or self[np.zeros(0, np.int64)].dtype)
        for start in range(0, len(self), COMPUTED_AT_ONCE):
            every[start : start + COMPUTED_AT_ONCE] = self[np.arange(start, min(start + COMPUTED_AT_ONCE, len(self)))]
        return every


class Starts(Computed):
    """Where pieces begin that lie one behind the other and leave nothing out."""

    def __init__(self, lengths: NDArray[Any]) -> None:
        self.lengths = lengths
        whole = len(lengths) // HELD_EVERY * HELD_EVERY
        sums = lengths[:whole].reshape(-1, HELD_EVERY).sum(axis=1, dtype=np.int64)
        self.held = np.concatenate([[0], np.cumsum(sums)])

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """(R,) int64."""
        block, inside = np.divmod(rows, HELD_EVERY)
        before = np.arange(HELD_EVERY - 1)
        places = np.minimum((block * HELD_EVERY)[:, None] + before, len(self.lengths) - 1)
        between = np.where(before < inside[:, None], self.lengths[places], 0)
        return np.asarray(self.held[block] + between.sum(axis=1, dtype=np.int64))


class Flags(Computed):
    """What is true of some pieces, a bit each."""

    def __init__(self, flags: NDArray[np.bool_]) -> None:
        self.count = len(flags)
        self.bits = np.packbits(flags)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, rows: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(R,) bool."""
        return np.asarray(self.bits[rows >> 3] << (rows & 7).astype(np.uint8) & 0x80, np.bool_)


@dataclass(frozen=True)
class Chosen(Computed):
    """Numbers of some pieces, which are counted anew."""

    whole: Lookup
    kept: NDArray[Any]
    """(N,) which of the pieces these are"""

    def __len__(self) -> int:
        return len(self.kept)

    def __getitem__(self, rows: NDArray[np.int64]) -> NDArray[Any]:
        """(R,) as the whole has them."""
        return self.whole[self.kept[rows]]


@dataclass(frozen=True)
class Documents(Computed):
    """Which row of the split each piece is of."""

    starts: Starts
    sizes: MappedSizes
    """Tokens of each document"""

    def __len__(self) -> int:
        return len(self.starts)

    def __getitem__(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """(R,) int64, ascending as the pieces are."""
        return self.sizes.owners(self.starts[rows])


@dataclass(frozen=True)
class Bytes(Computed):
    """Each piece's share of its document's UTF-8 bytes, by tokens."""

    documents: Documents
    texts: MappedSizes
    """Bytes of each document"""

    def __len__(self) -> int:
        return len(self.documents)

    def __getitem__(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """(R,) float64."""
        documents = self.documents[rows]
        shares = self.texts.of(documents).astype(np.float64)
        shares *= self.documents.starts.lengths[rows]
        shares /= self.documents.sizes.of(documents)
        return shares


@dataclass(frozen=True)
class Pieces:
    """A split's documents in pieces of at most so many tokens, in order; nothing is dropped."""

    lengths: NDArray[Any]
    """(N,) tokens of each, in a type as narrow as it can be"""
    is_last: Flags
    """(N,) whether it ends its document"""
    starts: Starts
    documents: Documents
    bytes: Bytes
    num_empty: int
    """Documents without any token, and so without a piece"""


def cut(split: Split, longest: int) -> Pieces:
    """The documents of a corpus's split, cut behind every `longest` tokens."""
    sizes = split.tokens.sizes
    total = sum(int((-(-own // longest)).sum()) for own in sizes.batches())
    lengths = np.full(total, longest, narrowest(2 * longest, may_be_short=True))  # with special tokens, too
    is_last = np.zeros(total, dtype=bool)
    done = num_empty = 0
    for own in sizes.batches():
        full = own[own > 0]
        num_empty += len(own) - len(full)
        counts = -(-full // longest)
        ends = done + np.cumsum(counts) - 1
        lengths[ends] = full - (counts - 1) * longest
        is_last[ends] = True
        done += int(counts.sum())
    starts = Starts(lengths)
    documents = Documents(starts, sizes)
    texts = MappedSizes([batch.column("text") for batch in split.batches()])
    return Pieces(lengths, Flags(is_last), starts, documents, Bytes(documents, texts), num_empty)
