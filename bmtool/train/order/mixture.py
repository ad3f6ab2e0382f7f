"""How much of each corpus, or of each task, an epoch takes, drawn anew for each epoch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from bmtool.data.tokens import narrowest
from bmtool.train.order.plan import ADDED_AT_ONCE, REPLAY, generator

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Mixing(Protocol):
    """Which examples an epoch has, of corpora or tasks that stand one after the other in the examples of a phase."""

    def rows(self, lengths: NDArray[Any], seed: int, epoch: int, *, phase: int = 0) -> NDArray[Any]:
        """The examples of an epoch, ascending within a corpus; one of a small corpus may come more than once.

        Args:
            lengths: (N,) tokens of each example, of all corpora.
            seed: of the run.
            epoch: from 0; each one draws anew.
            phase: of the run, from 0.
        """

    def groups(self) -> NDArray[np.int64] | None:
        """Of each example a group, of which no two share a batch; None: all may."""


@dataclass(frozen=True)
class Mixture:
    """All of the first corpus, and of the others as much as their shares ask for (`bmtool.data.joined`)."""

    sizes: tuple[int, ...]
    """How many examples each corpus has"""
    shares: tuple[float, ...]
    """Of each corpus but the first, the share of an epoch's tokens; the first one has the rest, and is seen whole"""

    def rows(self, lengths: NDArray[Any], seed: int, epoch: int, *, phase: int = 0) -> NDArray[Any]:
        """All of the first corpus, and a part of each other one."""
        first = self.sizes[0]
        kind = narrowest(sum(self.sizes))
        # The first corpus has the share 1 - sum(shares) of the whole: this is how long the whole is.
        total = float(lengths[:first].sum()) / (1.0 - sum(self.shares))
        parts = [np.arange(first, dtype=kind)]
        start = first
        for place, (size, share) in enumerate(zip(self.sizes[1:], self.shares, strict=True)):
            rng = generator(seed, epoch, place, REPLAY, phase=phase)
            drawn = _draw(lengths[start : start + size], share * total, rng)
            parts.append(drawn.astype(kind, copy=False) + kind(start))
            start += size
        return np.concatenate(parts)

    def groups(self) -> None:
        """All may share a batch."""


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

    def rows(self, lengths: NDArray[Any], seed: int, epoch: int, *, phase: int = 0) -> NDArray[Any]:
        """A part of each task, or all of it, or all of it several times."""
        starts = np.cumsum([0, *self.sizes])
        tokens = np.add.reduceat(lengths, starts[:-1], dtype=np.int64).astype(np.float64)
        shares = tokens ** (1.0 / self.temperature)
        wanted = np.rint(tokens.sum() * shares / shares.sum())  # whole, so that T = 1 is one pass and nothing less
        parts = []
        for place, (start, size) in enumerate(zip(starts, self.sizes, strict=False)):
            rng = generator(seed, epoch, place, REPLAY, phase=phase)
            parts.append(start + _draw(lengths[start : start + size], float(wanted[place]), rng))
        return np.concatenate(parts)

    def groups(self) -> NDArray[np.int64]:
        """A batch is of one task."""
        return np.repeat(np.arange(len(self.sizes)), self.sizes)


def _draw(lengths: NDArray[Any], num_tokens: float, rng: np.random.Generator) -> NDArray[Any]:
    """Examples of about so many tokens: whole passes over all of them, and a random part of one more."""
    every = np.arange(len(lengths), dtype=narrowest(len(lengths)))
    passes, rest = divmod(num_tokens, float(lengths.sum(dtype=np.int64))) if len(lengths) else (0.0, 0.0)
    order = every.copy()
    rng.shuffle(order)
    count = 0
    for start in range(0, len(order), ADDED_AT_ONCE):
        sums = np.cumsum(lengths[order[start : start + ADDED_AT_ONCE]], dtype=np.int64)
        count += int(np.searchsorted(sums, rest))
        rest -= float(sums[-1])
        if rest <= 0:
            break
    return np.concatenate([np.tile(every, int(passes)), np.sort(order[:count])])
