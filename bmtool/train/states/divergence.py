"""Judge whether a step's loss and gradient are of use, and when training has gone wrong for good."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING

from bmtool.errors import DivergedError

if TYPE_CHECKING:
    from bmtool.config.shared import Training
    from bmtool.train.states.state import State

#: Useless windows among the last `BAD_AMONG` steps after which the weights are taken for broken.
MAX_BAD, BAD_AMONG = 3, 100

#: So often a run goes back to earlier weights; the next time it ends.
MAX_ROLLBACKS = 3

#: A loss this many times the first one (or 1 nat, if that is more) is a spike. Untrained weights don't give that.
SPIKE = 10.0

#: Once so many losses are known, one that is so many nats, and so many median deviations, above their median is one
#: too. Nats, since a batch of hard examples in fine-tuning may well have many times the usual loss of 0.01.
RECENT, SPIKE_NATS, SPIKE_DEVIATIONS = 50, 3.0, 20.0

#: Where losses that stand out belong to the data, they may be so many times the largest one that was seen.
ODD_RATIO = 2.0


def is_usable(state: State, loss: float, grad_norm: float) -> bool:
    """Whether the weights may move by this gradient; a usable loss is noted in `state`."""
    if not (math.isfinite(loss) and math.isfinite(grad_norm)):
        state.spikes = []
        return False
    if state.first_loss is None:
        state.first_loss = loss
    if loss > state.odd_loss and (loss > SPIKE * max(1.0, state.first_loss) or _stands_out(state.recent_losses, loss)):
        state.spikes = [*state.spikes, loss]
        return False
    _excuse(state)
    state.recent_losses = [*state.recent_losses[1 - RECENT :], loss]
    return True


def _excuse(state: State) -> None:
    """Losses that stood out before a usual one of the same weights were those of odd windows, and not of the weights.

    Where that comes again and again, as with batches of one text and a few wrong labels, or with numbers some of which
    are far from all others, such losses belong to the data: from then on they are learned from.
    """
    if not state.spikes:
        return
    count, step = len(state.spikes), state.step + 1
    state.bad_steps = state.bad_steps[:-count]
    state.odd = [one for one in state.odd if one["step"] > step - BAD_AMONG]
    state.odd += [{"step": step - count + place, "loss": loss} for place, loss in enumerate(state.spikes)]
    state.spikes = []
    if len(state.odd) >= MAX_BAD:
        state.odd_loss = max(state.odd_loss, ODD_RATIO * max(one["loss"] for one in state.odd))


def _stands_out(recent: list[float], loss: float) -> bool:
    if len(recent) < RECENT:
        return False
    median = statistics.median(recent)
    deviation = statistics.median(abs(one - median) for one in recent)
    return loss > median + max(SPIKE_NATS, SPIKE_DEVIATIONS * deviation)


def note_skipped(state: State) -> None:
    """Count the step that `state` is about to finish as skipped."""
    step = state.step + 1
    state.bad_steps = [bad for bad in state.bad_steps if bad > step - BAD_AMONG] + [step]
    state.skipped_steps += 1


def is_broken(state: State) -> bool:
    """Whether so many windows were of no use that it must be the weights."""
    return len(state.bad_steps) >= MAX_BAD


def older_than(state: State) -> int:
    """The weights to go back to are from before this step: before the trouble, and before what led to it again."""
    first = state.bad_steps[0]
    last = state.rollbacks[-1] if state.rollbacks else None
    return min(first, last["to"]) if last is not None and first - last["step"] <= BAD_AMONG else first


def note_rollback(state: State, to: int) -> None:
    """Forget what broken weights gave; data and steps go on where they are, behind the windows that were of no use."""
    state.rollbacks = [*state.rollbacks, {"step": state.step, "to": to}]
    state.bad_steps, state.recent_losses, state.spikes = [], [], []


def diverged(state: State, training: Training) -> DivergedError:
    """The error that ends the run."""
    steps = ", ".join(map(str, state.bad_steps))
    went_back = f" after going back to earlier weights {len(state.rollbacks)} times" if state.rollbacks else ""
    return DivergedError(
        f"training diverged: {MAX_BAD} windows (steps {steps}) gave no usable loss or gradient{went_back}. "
        f"Lower learning_rate (now {training.rate:g}), raise warmup_ratio "
        f"(now {training.warmup_ratio:g}), or set precision to fp32 (now {state.precision})"
    )
