"""How much of each corpus, or of each task, an epoch takes, drawn anew for each epoch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import numpy as np

from bmtool.train.plan import REPLAY, generator

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Mixing(Protocol):
    """Which examples an epoch has, of corpora or tasks that stand one after the other in the examples of a phase."""

    def rows(self, lengths: NDArray[np.int64], seed: int, epoch: int, *, phase: int = 0) -> NDArray[np.int64]:
        """The examples of an epoch, ascending within a corpus; one of a small corpus may come more than once.

        Args:
            lengths: (N,) tokens of each example, of all corpora.
            seed: of the run.
            epoch: from 0; each one draws anew.
            phase: of the run, from 0.
        """

    def groups(self, rows: NDArray[np.int64]) -> NDArray[np.int64] | None:
        """Of each row a group, of which no two share a batch; None: all may."""


@dataclass(frozen=True)
class Mixture:
    """All of the first corpus, and of the others as much as their shares ask for (`bmtool.data.joined`)."""

    sizes: tuple[int, ...]
    """How many examples each corpus has"""
    shares: tuple[float, ...]
    """Of each corpus but the first, the share of an epoch's tokens; the first one has the rest, and is seen whole"""

    def rows(self, lengths: NDArray[np.int64], seed: int, epoch: int, *, phase: int = 0) -> NDArray[np.int64]:
        """All of the first corpus, and a part of each other one."""
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

    def groups(self, rows: NDArray[np.int64]) -> None:
        """All may share a batch."""
        del rows


@dataclass(frozen=True)
class TaskMixture:
    """Tasks take turns: of an epoch's tokens, as many as all tasks have, a task with n of them gets n^(1/T).

    With T = 1 each row comes once. With more, small tasks come more often and large ones more rarely than that: Raffel
    et al. 2020, "T5", section 3.5.2.
    """

    sizes: tuple[int, ...]
    """How many examples each task has"""
    temperature: float
    """T"""

    def rows(self, lengths: NDArray[np.int64], seed: int, epoch: int, *, phase: int = 0) -> NDArray[np.int64]:
        """A part of each task, or all of it, or all of it several times."""
        starts = np.cumsum([0, *self.sizes])
        tokens = np.add.reduceat(lengths, starts[:-1]).astype(np.float64)
        shares = tokens ** (1.0 / self.temperature)
        wanted = np.rint(tokens.sum() * shares / shares.sum())  # whole, so that T = 1 is one pass and nothing less
        parts = []
        for place, (start, size) in enumerate(zip(starts, self.sizes, strict=False)):
            rng = generator(seed, epoch, place, REPLAY, phase=phase)
            parts.append(start + _draw(lengths[start : start + size], float(wanted[place]), rng))
        return np.concatenate(parts)

    def groups(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """A batch is of one task."""
        return np.asarray(np.searchsorted(np.cumsum(self.sizes), rows, side="right"), dtype=np.int64)


def _draw(lengths: NDArray[np.int64], num_tokens: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Examples of about so many tokens: whole passes over all of them, and a random part of one more."""
    passes, rest = divmod(num_tokens, float(lengths.sum())) if len(lengths) else (0.0, 0.0)
    order = rng.permutation(len(lengths))
    count = int(np.searchsorted(np.cumsum(lengths[order]), rest))
    return np.concatenate([np.tile(np.arange(len(lengths)), int(passes)), np.sort(order[:count])])
