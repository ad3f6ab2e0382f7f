"""One training step: gradients over a window of batches, and an update, unless they are of no use."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from bmtool.artifacts.faults import fault
from bmtool.errors import DivergedError
from bmtool.models.batches import to_device
from bmtool.train.optim import set_rate
from bmtool.train.plan import DROPOUT, generator
from bmtool.train.schedules import factor

if TYPE_CHECKING:
    from bmtool.config.shared import Training
    from bmtool.console import Console
    from bmtool.contracts import Batch, Examples, Goal
    from bmtool.train.course import Course
    from bmtool.train.state import State
    from bmtool.train.weights import Weights

#: Useless windows among the last `BAD_AMONG` steps that end a run.
MAX_BAD, BAD_AMONG = 3, 100

#: A loss this many times the first one (or 1 nat, if that is more) is a spike. Untrained weights don't give that.
SPIKE = 10.0


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

    model: Any
    goal: Goal
    examples: Examples
    course: Course
    training: Training
    weights: Weights
    optimizer: torch.optim.Optimizer
    state: State
    seed: int
    device: torch.device
    console: Console

    def step(self) -> Step:
        """Train on the next window."""
        started = time.perf_counter()
        places = self.course.window(self.state.epoch, self.state.batch)
        batches = [self._collate(epoch, batch) for epoch, batch in places]
        losses = self._backward(places, batches)
        grad_norm = self._update(sum(losses.values()))
        self._advance(places, sum(batch.num_tokens for batch in batches))
        self.state.seconds += time.perf_counter() - started
        return Step(losses, grad_norm, self.optimizer.param_groups[0]["lr"])

    def _collate(self, epoch: int, batch: int) -> Batch:
        rng = generator(self.seed, epoch, batch)
        return self.goal.collate(self.examples, self.course.rows(epoch, batch), rng)

    def _backward(self, places: list[tuple[int, int]], batches: list[Batch]) -> dict[str, float]:
        """Add up gradients over the window; return the mean of each loss term over the window's targets.

        Every batch's loss is divided by the number of targets in the whole window, which is known before: then it makes
        no difference how the window is divided into batches.
        """
        counts: dict[str, int] = {}
        for batch in batches:
            for term, count in batch.counts.items():
                counts[term] = counts.get(term, 0) + count
        means = {term: torch.zeros((), device=self.device) for term in counts}
        is_broken = fault("step", self.state.step + 1)
        for (epoch, index), batch in zip(places, batches, strict=True):
            torch.manual_seed(int(generator(self.seed, epoch, index, DROPOUT).integers(2**63)))
            sums = self.goal.losses(self.model, to_device(batch, self.device))
            parts = {term: value / max(1, counts[term]) for term, value in sums.items()}
            loss = torch.stack(list(parts.values())).sum()
            torch.autograd.backward(loss * math.nan if is_broken else loss)
            self.weights.add_gradients()
            for term, value in parts.items():
                means[term] += value.detach()
        return {term: math.nan if is_broken else float(value) for term, value in means.items()}

    def _update(self, loss: float) -> float:
        """Move the weights, unless loss or gradient are of no use; return the norm of the gradient before clipping."""
        gradients = self.weights.gradients()
        grad_norm = float(torch.nn.utils.get_total_norm(gradients))
        if self._is_usable(loss, grad_norm):
            scale = self.training.max_grad_norm / (grad_norm + 1e-6)
            if scale < 1:
                torch._foreach_mul_(gradients, scale)
            set_rate(self.optimizer, self._factor())
            self.optimizer.step()
            self.weights.publish()
        else:
            self._skip(loss, grad_norm)
        self.weights.clear_gradients()
        return grad_norm

    def _is_usable(self, loss: float, grad_norm: float) -> bool:
        if not (math.isfinite(loss) and math.isfinite(grad_norm)):
            return False
        if self.state.first_loss is None:
            self.state.first_loss = loss
        return loss <= SPIKE * max(1.0, self.state.first_loss)

    def _skip(self, loss: float, grad_norm: float) -> None:
        """Leave the weights as they are; give up after `MAX_BAD` such windows."""
        state, training = self.state, self.training
        step = state.step + 1
        state.bad_steps = [bad for bad in state.bad_steps if bad > step - BAD_AMONG] + [step]
        state.skipped_steps += 1
        self.console.warn(f"step {step}: loss {loss:g}, gradient norm {grad_norm:g}; this window is skipped")
        if len(state.bad_steps) >= MAX_BAD:
            steps = ", ".join(map(str, state.bad_steps))
            raise DivergedError(
                f"training diverged: {MAX_BAD} windows (steps {steps}) gave no usable loss or gradient. "
                f"Lower learning_rate (now {training.learning_rate:g}), raise warmup_ratio "
                f"(now {training.warmup_ratio:g}), or set precision to fp32 (now {state.precision})"
            )

    def _factor(self) -> float:
        return factor(
            self.training.lr_scheduler_type,
            self.state.step,
            self.course.num_steps,
            warmup_ratio=self.training.warmup_ratio,
            decay_ratio=self.training.decay_ratio,
        )

    def _advance(self, places: list[tuple[int, int]], num_tokens: int) -> None:
        state = self.state
        state.step += 1
        state.tokens += num_tokens
        state.epoch, state.batch = self.course.following(*places[-1])
        state.ended_epoch = state.epoch != places[0][0]
