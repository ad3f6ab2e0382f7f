"""One training step: gradients over a window of batches, and an update, unless they are of no use."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any

import torch

from bmtool.artifacts.faults import fault
from bmtool.models.building.flops import Work
from bmtool.models.families.batches import to_device
from bmtool.train.loading import Loader
from bmtool.train.order.plan import DATA, DROPOUT, generator
from bmtool.train.schedules import factor
from bmtool.train.states.divergence import is_usable, note_skipped
from bmtool.train.weights.compiling import Compiling

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import numpy as np
    from torch import Tensor

    from bmtool.console import Console
    from bmtool.contracts import Batch
    from bmtool.train.course import Course
    from bmtool.train.machine.world import World
    from bmtool.train.optim import Optimizer
    from bmtool.train.phases import Phase
    from bmtool.train.states.state import State
    from bmtool.train.weights.base import Weights


@dataclass(frozen=True)
class Step:
    """What one step saw."""

    losses: dict[str, float]
    """Mean of each loss term over the window's targets; NaN if the window was skipped for that."""
    grad_norm: float
    """Before clipping."""
    learning_rate: float

    @property
    def loss(self) -> float:
        """The sum of all terms."""
        return sum(self.losses.values())


@dataclass(frozen=True)
class Stepper:
    """Trains a model step by step; where it is stands in `state`."""

    phases: Sequence[Phase]
    courses: Sequence[Course]
    """Of each phase."""
    weights: Weights
    optimizer: Optimizer
    state: State
    seed: int
    device: torch.device
    console: Console
    world: World
    loader: Loader = field(default_factory=Loader)
    compiling: Compiling = field(default_factory=Compiling)

    @property
    def model(self) -> Any:
        """What is trained."""
        return self.weights.model

    @cached_property
    def work(self) -> Work:
        """What its arithmetic is counted by."""
        return Work.of(self.model)

    @property
    def phase(self) -> Phase:
        """What is being learned."""
        return self.phases[self.state.phase]

    @property
    def course(self) -> Course:
        """The batches and steps of this phase."""
        return self.courses[self.state.phase]

    def load(self, weights: Mapping[str, Tensor], optimizer_state: Mapping[str, Tensor]) -> None:
        """Set weights and optimizer to whole tensors, of which this process takes its part."""
        own = self.weights
        own.load(own.parts(weights))
        self.optimizer.load_state(own.masters, own.parts(optimizer_state))

    def step(self) -> Step:
        """Train on the next window; of its batches this process takes its share."""
        started = time.perf_counter()
        course, state = self.course, self.state
        places = course.window(state.epoch, state.batch, state.phase_step)
        own = self._own(places)
        loaded = self.loader.batches((state.phase, *places), self._maker(places))
        batches, idle = loaded[: len(own)], loaded[len(own) :]
        following = course.following(*places[-1])
        if self.loader.is_ahead and state.phase_step + 1 < course.num_steps:
            coming = course.window(*following, state.phase_step + 1)
            self.loader.tell((state.phase, *coming), self._maker(coming))
        state.loading_seconds += time.perf_counter() - started
        num_tokens, counts = self._count(batches)
        losses = self._backward(own, batches, counts, idle)
        factor = self._factor()
        grad_norm = self._update(sum(losses.values()), factor)
        self._advance(following, num_tokens)
        self.compiling.look(state, self.console)
        state.seconds += time.perf_counter() - started
        return Step(losses, grad_norm, factor * self.phases[0].training.rate)

    def _generator(self, epoch: int, batch: int, purpose: int = DATA) -> np.random.Generator:
        return generator(self.seed, epoch, batch, purpose, phase=self.state.phase)

    def _own(self, places: list[tuple[int, int]]) -> list[tuple[int, int]]:
        """This process's share of a window."""
        return places[self.world.rank :: self.world.size]

    def _maker(self, places: list[tuple[int, int]]) -> Callable[[], list[Batch]]:
        """What makes this process's batches of a window, and behind them those that it runs along; in any thread.

        Only here the course is asked for rows: it plans one epoch at a time.
        """
        wanted = self._own(places) + places[: self.weights.num_idle(len(places))]
        phase = self.phase
        makers = [
            partial(phase.goal.collate, phase.train, self.course.rows(*place), self._generator(*place))
            for place in wanted
        ]
        return lambda: [make() for make in makers]

    def _count(self, batches: Sequence[Batch]) -> tuple[int, dict[str, int]]:
        """Tokens of the whole window, and how many targets each loss term has in it, over all processes.

        They are those of its texts, as the budget counts them, also where features of these are read in their place.
        """
        operations = float(sum(self.work.of_batch(batch) for batch in batches))
        tokens = sum(int(self.course.lengths[batch.rows].sum()) for batch in batches)
        counts = [{term: int(count) for term, count in batch.counts.items()} for batch in batches]
        # A window that is still being warmed up may have no batch for this process: it doesn't know the terms then.
        parts = self.world.gathered([tokens, operations, counts])
        self.state.operations += sum(part[1] for part in parts)
        counted = [count for part in parts for count in part[2]]
        terms = sorted({term for count in counted for term in count})
        return sum(part[0] for part in parts), {term: sum(count.get(term, 0) for count in counted) for term in terms}

    def _backward(
        self,
        places: list[tuple[int, int]],
        batches: list[Batch],
        counts: dict[str, int],
        idle: Sequence[Batch] = (),
    ) -> dict[str, float]:
        """Add up gradients over the window; return the mean of each loss term over the window's targets.

        Every batch's loss is divided by the number of targets in the whole window, which is known before: then it makes
        no difference how the window is divided into batches. What is run along `idle` counts nothing.
        """
        means = {term: torch.zeros((), device=self.device) for term in counts}
        divisors = self.phase.goal.divisors(counts)
        is_broken = fault("step", self.state.step + 1)
        for (epoch, index), batch in zip(places, batches, strict=True):
            sums = self._losses(batch, int(self._generator(epoch, index, DROPOUT).integers(2**63)))
            parts = {term: value / divisors[term] for term, value in sums.items()}
            loss = torch.stack(list(parts.values())).sum()
            self.weights.backward(loss * math.nan if is_broken else loss)
            for term, value in parts.items():
                means[term] += value.detach()
        for batch in idle:
            sums = self._losses(batch, 0)
            self.weights.backward(0 * torch.stack(list(sums.values())).sum())
        losses = self.world.total([float(value) for value in means.values()])
        self.weights.sum_gradients()
        return {term: math.nan if is_broken else loss for term, loss in zip(means, losses, strict=True)}

    def _losses(self, batch: Batch, seed: int) -> dict[str, Tensor]:
        """The sums of a batch's loss terms; dropout draws by `seed`."""

        def work() -> dict[str, Tensor]:
            torch.manual_seed(seed)
            return self.weights.run(self.phase.goal.losses, to_device(batch, self.device))

        return self.compiling.run(work, self.console)

    def _update(self, loss: float, factor: float) -> float:
        """Move the weights, unless loss or gradient are of no use; return the norm of the gradient before clipping."""
        grad_norm = self.weights.grad_norm()
        usual = self.state.odd_loss
        is_good = is_usable(self.state, loss, grad_norm)
        if self.state.odd_loss > usual:
            self.console.warn(
                f"step {self.state.step + 1}: single windows stand out again and again, and the weights are fine: "
                f"losses up to {self.state.odd_loss:.3g} are learned from now on. Larger batches even them out"
            )
        if is_good:
            self.optimizer.set_rate(factor)
            self.weights.move(self.optimizer, min(1.0, self.phase.training.max_grad_norm / (grad_norm + 1e-6)))
        else:
            self._skip(loss, grad_norm)
        self.weights.clear_gradients()
        return grad_norm

    def _skip(self, loss: float, grad_norm: float) -> None:
        """Leave the weights as they are."""
        note_skipped(self.state)
        what = f"loss {loss:g}, gradient norm {grad_norm:g}"
        self.console.warn(f"step {self.state.step + 1}: {what}; this window is skipped")

    def _factor(self) -> float:
        """Of the first phase's learning rate, for which the optimizer was made."""
        training = self.phase.training
        height = training.rate / self.phases[0].training.rate
        return height * factor(
            training.lr_scheduler_type,
            self.state.phase_step,
            self.course.num_steps,
            warmup_ratio=training.warmup_ratio,
            decay_ratio=training.decay_ratio,
        )

    def _advance(self, following: tuple[int, int], num_tokens: int) -> None:
        state = self.state
        began_in = state.epoch
        state.step += 1
        state.phase_step += 1
        state.tokens += num_tokens
        state.epoch, state.batch = following
        state.ended_epoch = state.epoch != began_in
