"""How long a run is, and which batches make a step."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from bmtool.errors import DataError
from bmtool.train.order.plan import batch_sizes, plan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from bmtool.config.shared import Training
    from bmtool.train.order.mixture import Mixing


@dataclass
class Course:
    """The batches of a run, epoch after epoch, each epoch planned when it is reached."""

    lengths: NDArray[Any]
    """(N,) tokens of each document, special tokens included."""
    training: Training
    seed: int
    phase: int = 0
    """Which phase of the run this is, from 0: each draws its own random numbers."""
    mixture: Mixing | None = None
    """Which of the documents an epoch has; None: each once."""
    by_length: bool = False
    """Whether documents of about equal length share a batch, for models that pad."""
    _epoch: int = -1
    _order: NDArray[Any] | None = None
    _borders: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        """Refuse to train on nothing."""
        if not len(self.lengths):
            raise DataError("there is nothing to train on: the train split has no documents")

    def epoch(self, epoch: int) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """The plan of one epoch; the last one asked for is remembered."""
        if self._order is None or self._borders is None or epoch != self._epoch:
            self._order = self._borders = None  # two epochs' plans never live together
            rows = groups = None
            if self.mixture is not None:
                rows = self.mixture.rows(self.lengths, self.seed, epoch, phase=self.phase)
                groups = self.mixture.groups()
            self._order, self._borders = plan(
                self.lengths,
                self.seed,
                epoch,
                self.training.batch_tokens,
                phase=self.phase,
                by_length=self.by_length,
                rows=rows,
                groups=groups,
            )
            self._epoch = epoch
        return self._order, self._borders

    def batch_sizes(self, epoch: int) -> NDArray[np.int64]:
        """(B,) tokens of each batch of an epoch."""
        return batch_sizes(self.lengths, *self.epoch(epoch))

    def num_batches(self, epoch: int) -> int:
        """Batches of an epoch."""
        return len(self.epoch(epoch)[1]) - 1

    def rows(self, epoch: int, batch: int) -> NDArray[np.int64]:
        """The documents of a batch."""
        order, borders = self.epoch(epoch)
        return order[borders[batch] : borders[batch + 1]].astype(np.int64)

    def window(self, epoch: int, batch: int, step: int) -> list[tuple[int, int]]:
        """The micro-batches of a step that starts with this one, as (epoch, batch); steps go on across epochs."""
        places = []
        for _ in range(self.window_size(step)):
            places.append((epoch, batch))
            epoch, batch = self.following(epoch, batch)
        return places

    def window_size(self, step: int) -> int:
        """How many micro-batches step number `step` has: more and more while the batch is warmed up."""
        whole, rising = self.training.gradient_accumulation_steps, self.training.batch_warmup_steps
        return whole if step >= rising else max(1, whole * (step + 1) // (rising + 1))

    def following(self, epoch: int, batch: int) -> tuple[int, int]:
        """The place behind a micro-batch."""
        return (epoch, batch + 1) if batch + 1 < self.num_batches(epoch) else (epoch + 1, 0)

    @cached_property
    def num_steps(self) -> int:
        """Steps of the whole run, by the one of the three budgets that is set."""
        training = self.training
        if training.max_steps is not None:
            return training.max_steps
        if training.max_tokens is not None:
            batches = self._batches_for(training.max_tokens)
        else:
            whole, part = divmod(training.num_train_epochs or 0.0, 1.0)
            batches = sum(self.num_batches(epoch) for epoch in range(int(whole)))
            batches += round(part * self.num_batches(int(whole))) if part else 0
        step = 0
        while step < training.batch_warmup_steps and batches > 0:
            batches -= self.window_size(step)
            step += 1
        return max(1, step + -(-max(0, batches) // training.gradient_accumulation_steps))

    @property
    def description(self) -> str:
        """One line for the log."""
        num_tokens = int(self.lengths.sum(dtype=np.int64))
        in_batch = max(1, round(self.training.batch_tokens * len(self.lengths) / num_tokens))
        examples = f"{len(self.lengths):,} examples of {num_tokens:,} tokens, about {in_batch:,} a batch"
        return f"{self.num_steps:,} steps over {examples}"

    def _batches_for(self, max_tokens: int) -> int:
        """Batches until at least `max_tokens` tokens have been seen."""
        batches = 0
        for tokens in self._batch_tokens():
            batches += 1
            max_tokens -= tokens
            if max_tokens <= 0:
                break
        return batches

    def _batch_tokens(self) -> Iterator[int]:
        epoch = 0
        while True:
            yield from self.batch_sizes(epoch).tolist()
            epoch += 1
