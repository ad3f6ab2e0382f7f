"""Try how much memory batches take, before the first step: the largest that a run can have, forward and backward.

Nothing is left of a trial: no gradient, and no random number that a run would draw. Memory grows with a batch's tokens
in a line, so that two batches say what all others take.
"""

from __future__ import annotations

import gc
import traceback
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from bmtool.models.families.batches import to_device
from bmtool.train.machine.memory import held_bytes, trimmed_memory
from bmtool.train.order.plan import ADDED_AT_ONCE, generator
from bmtool.train.sizing.out_of_memory import is_out_of_memory

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from bmtool.train.phases import Phase
    from bmtool.train.weights.base import Weights


@dataclass(frozen=True)
class Load:
    """What batches of a phase, or of one of its tasks, are made of."""

    phase: Phase
    lengths: NDArray[Any]
    """(N,) tokens of each example that may share a batch"""
    first: int = 0
    """The number of the first of them among the examples of the phase"""
    pads: bool = False
    """Whether texts are padded to the longest one of a batch"""

    def heaviest(self, tokens: int) -> NDArray[np.int64]:
        """The longest examples, as many as a batch of so many tokens holds, and one at least."""
        best = np.zeros(0, np.int64)
        for start in range(0, len(self.lengths), ADDED_AT_ONCE):
            more = np.arange(start, min(start + ADDED_AT_ONCE, len(self.lengths)))
            some = np.concatenate([best, more])
            some = some[np.argsort(-self.lengths[some].astype(np.int64), kind="stable")]
            best = some[: max(1, int(np.searchsorted(self._sizes(some), tokens, side="right")))]
        return self.first + best

    def size(self, rows: NDArray[np.int64]) -> int:
        """Tokens of a batch of these examples, the longest first, with what pads them."""
        return int(self._sizes(rows - self.first)[-1])

    def _sizes(self, some: NDArray[np.int64]) -> NDArray[np.int64]:
        """(n,) tokens of a batch of the first, the first two, ... of them."""
        own = self.lengths[some].astype(np.int64)
        sizes: NDArray[np.int64] = own[0] * np.arange(1, len(own) + 1) if self.pads else np.cumsum(own)
        return sizes


def loads_of(phases: Sequence[Phase], *, pads: bool) -> Iterator[Load]:
    """What the batches are made of that are to be as large as memory holds."""
    for phase in phases:
        if phase.training.per_device_batch_tokens != "auto":
            continue
        lengths, first = phase.train.packed_lengths, 0
        sizes = [len(part) for part in phase.train.parts.values()] or [len(lengths)]
        for size in filter(None, sizes):  # a batch never has examples of two tasks
            yield Load(phase, lengths[first : first + size], first, pads)
            first += size


@dataclass(frozen=True)
class Line:
    """What batches take in a trial: `fixed` bytes, and `of_token` for each token."""

    fixed: float
    of_token: float
    tried: tuple[int, ...]
    """Tokens of the batches that were tried"""
    most: int
    """No more than so many tokens fit, since a trial with more ran out of memory"""

    def fits(self, num_bytes: float) -> int:
        """How many tokens a batch has that takes so many bytes."""
        return max(0, min(self.most, int((num_bytes - self.fixed) / self.of_token)))


@dataclass(frozen=True)
class Trial:
    """Tries batches with weights that are whole in this process."""

    weights: Weights
    device: torch.device
    seed: int

    def warm_up(self, loads: Sequence[Load]) -> int | None:
        """Try the smallest batches once; return what stays of that, such as compiled kernels, in bytes.

        None: there isn't enough memory for them.
        """
        before = self._held()
        if any(self._grown(load, load.heaviest(1)) is None for load in loads):
            return None
        return max(0, self._held() - before)

    def line(self, load: Load, guess: int) -> Line | None:
        """What batches of the load take, from the smallest one and one of `guess` tokens, or half, or a quarter, ...

        None: not even the smallest fits.
        """
        small = load.heaviest(1)
        size, grown = load.size(small), self._grown(load, small)
        if grown is None:
            return None
        most, tokens = 2**62, guess
        while (larger := load.size(rows := load.heaviest(tokens))) > size:
            more = self._grown(load, rows)
            if more is not None:
                of_token = max(1.0, (more - grown) / (larger - size))
                return Line(max(0.0, grown - of_token * size), of_token, (size, larger), most)
            most, tokens = larger - 1, larger // 2
        return Line(0.0, max(1.0, grown / size), (size,), most)

    def _grown(self, load: Load, rows: NDArray[np.int64]) -> int | None:
        """By how many bytes the process grows at most while a batch of these is learned from; None: it ran out."""
        self._give_back()
        before = self._peak()
        try:
            self._learn(load, rows)
            return self._peak() - before
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            traceback.clear_frames(error.__traceback__)  # they hold what the trial had come to
            return None
        finally:
            self.weights.clear_gradients()

    def _learn(self, load: Load, rows: NDArray[np.int64]) -> None:
        """Forward and backward of one batch, as a later one of a step: gradients of earlier ones are there."""
        goal, devices = load.phase.goal, [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(self.seed)
            for master in self.weights.masters.values():
                master.grad = torch.zeros_like(master)
            batch = goal.collate(load.phase.train, rows, generator(self.seed, 0, 0))
            divisors = goal.divisors(batch.counts)
            sums = self.weights.run(goal.losses, to_device(batch, self.device))
            self.weights.backward(torch.stack([value / divisors[term] for term, value in sums.items()]).sum())

    def _give_back(self) -> None:
        """What is freed: so that the next trial grows by all that it takes."""
        gc.collect()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(self.device)
            return
        with trimmed_memory():
            pass

    def _peak(self) -> int:
        """What torch has had of the card since the last trial; of main memory what is held, as freed blocks are."""
        if self.device.type == "cuda":
            return int(torch.cuda.max_memory_reserved(self.device))
        return held_bytes()

    def _held(self) -> int:
        """What is taken for good, of a card by torch and all that it loads."""
        self._give_back()
        if self.device.type == "cuda":
            free, there = torch.cuda.mem_get_info(self.device)
            return int(there - free)
        return held_bytes()
