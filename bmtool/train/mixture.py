"""How much of each corpus an epoch takes: all of the first one, and of the others as much as their shares ask for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bmtool.train.plan import REPLAY, generator

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True)
class Mixture:
    """Corpora that stand one after the other in the examples of a phase (`bmtool.data.joined`)."""

    sizes: tuple[int, ...]
    """How many examples each corpus has"""
    shares: tuple[float, ...]
    """Of each corpus but the first, the share of an epoch's tokens; the first one has the rest, and is seen whole"""

    def rows(self, lengths: NDArray[np.int64], seed: int, epoch: int, *, phase: int = 0) -> NDArray[np.int64]:
        """The examples of an epoch, ascending within a corpus; one of a small corpus may come more than once.

        Args:
            lengths: (N,) tokens of each example, of all corpora.
            seed: of the run.
            epoch: from 0; each one draws anew.
            phase: of the run, from 0.
        """
        first = self.sizes[0]
        # The first corpus has the share 1 - sum(shares) of the whole: this is how long the whole is.
        total = float(lengths[:first].sum()) / (1.0 - sum(self.shares))
        parts = [np.arange(first)]
        start = first
        for place, (size, share) in enumerate(zip(self.sizes[1:], self.shares, strict=True)):
            rng = generator(seed, epoch, place, REPLAY, phase=phase)
            parts.append(start + _draw(lengths[start : start + size], share * total, rng))
            start += size
        return np.concatenate(parts)


def _draw(lengths: NDArray[np.int64], num_tokens: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Examples of about so many tokens: whole passes over all of them, and a random part of one more."""
    passes, rest = divmod(num_tokens, float(lengths.sum())) if len(lengths) else (0.0, 0.0)
    order = rng.permutation(len(lengths))
    count = int(np.searchsorted(np.cumsum(lengths[order]), rest))
    return np.concatenate([np.tile(np.arange(len(lengths)), int(passes)), np.sort(order[:count])])
