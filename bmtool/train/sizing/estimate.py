"""What a training run will take, before it begins: memory, steps, tokens, time and disk, counted and not tried.

Time is arithmetic over speed: what a step needs (`bmtool.models.building.flops`), over the machine's measured
matrix-product peak times the share of it that runs reach.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from bmtool.models.building.flops import Work
from bmtool.models.families.family import family_of
from bmtool.train.inference.predict import BATCH_TOKENS
from bmtool.train.order.plan import generator, in_order
from bmtool.train.states.checkpoints import space_needed
from bmtool.train.weights.footprint import kernel_bytes, numbers_of_layer, saved_bytes, state_bytes, token_bytes, usable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import torch
    from numpy.typing import NDArray
    from torch import nn

    from bmtool.contracts import Examples, Goal
    from bmtool.train.course import Course
    from bmtool.train.phases import Pass, Phase

#: Batches of a phase that are packed, to count what one takes.
_SAMPLED_BATCHES = 4

#: Of a step, besides its arithmetic: a batch is put together, the optimizer moves each tensor, the log is written. A
#: head on features that are kept took 6 and 8 ms a step, with others at work on the same two cores.
STEP_SECONDS = 0.005


@dataclass(frozen=True)
class Outline:
    """What would be trained: a model without weights (on torch's meta device), its phases, what is read for them."""

    model: nn.Module
    phases: Sequence[Phase]
    passes: Sequence[Pass] = ()
    keeps_best: bool = False
    """Whether the best weights are kept beside the last ones"""
    choices: Mapping[str, str] = field(default_factory=dict)
    """What the settings leave out, by what it is, as it would be said"""


@dataclass(frozen=True)
class Estimate:
    """About what a run takes."""

    parameters: int
    memory: dict[str, int]
    """Bytes of the process that takes most, by what holds them; what Python and torch take (some 500 MB) isn't in it"""
    steps: int | None
    """None, as of what follows from it: only the data says so (`bmtool.train.jobs.sketch`)"""
    tokens: int | None
    operations: float | None
    """Of all steps, forward and backward"""
    step_operations: float | None
    """Of a step in the mean"""
    read_tokens: int
    """Tokens that a model reads once, before the first step: those that a teacher answers"""
    read_operations: float
    disk: int
    """Bytes, while states are saved, the final model with them"""

    def seconds(self, speed: float) -> float | None:
        """How long all steps, and what is read for them, take at so many operations a second.

        Without validation and saving.
        """
        if self.operations is None or self.steps is None:
            return None
        return (self.operations + self.read_operations) / speed + self.steps * STEP_SECONDS

    def step_seconds(self, speed: float) -> float | None:
        """The same of a step, without what is read."""
        return None if self.step_operations is None else self.step_operations / speed + STEP_SECONDS

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


def estimate(outline: Outline, dtype: torch.dtype, seed: int, *, device: torch.device, parts: int = 1) -> Estimate:
    """Count; `dtype` is what the model computes in, and weights are shared out among so many processes (`parts`)."""
    steps = tokens = 0
    operations = 0.0
    work = Work.of(outline.model)
    for number, phase in enumerate(outline.phases):
        course = phase.course(seed, number, by_length=family_of(outline.model).pads)
        own_steps, own_tokens = course.num_steps, tokens_of(course)
        steps, tokens = steps + own_steps, tokens + own_tokens
        rows = [course.rows(0, place) for place in _places(course.num_batches(0))]
        operations += own_tokens * _operations_per_token(work, phase.goal, phase.train, rows)
    count = sum(parameter.numel() for parameter in outline.model.parameters())
    return Estimate(
        parameters=count,
        memory=memory_of(outline, dtype, device, parts),
        steps=steps,
        tokens=tokens,
        operations=operations,
        step_operations=operations / steps,
        read_tokens=sum(_length(one.examples) for one in outline.passes),
        read_operations=sum(map(_operations_of_pass, outline.passes)),
        disk=space_needed(count, keeps_best=outline.keeps_best),
    )


def tokens_of(course: Course) -> int:
    """Of all steps, if the batches of later epochs are as full as those of the first."""
    rising = min(course.num_steps, course.training.batch_warmup_steps)
    batches = sum(course.window_size(step) for step in range(rising))
    batches += (course.num_steps - rising) * course.training.gradient_accumulation_steps
    of_batches = course.batch_sizes(0)
    epochs, rest = divmod(batches, len(of_batches))
    return int(epochs * of_batches.sum() + of_batches[:rest].sum())


def _places(num_batches: int) -> list[int]:
    """A few batches at equal distances."""
    return sorted({int(place) for place in np.linspace(0, num_batches - 1, _SAMPLED_BATCHES)})


def _operations_per_token(work: Work, goal: Goal, examples: Examples, rows: Sequence[NDArray[np.int64]]) -> float:
    """Of batches with these rows."""
    batches = [goal.collate(examples, some, generator(0, 0, place)) for place, some in enumerate(rows)]
    lengths = examples.packed_lengths
    return sum(work.of_batch(batch) for batch in batches) / sum(int(lengths[some].sum()) for some in rows)


def _operations_of_pass(one: Pass) -> float:
    lengths, pads = one.examples.packed_lengths, family_of(one.model).pads
    order, borders = in_order(lengths, np.arange(len(lengths)), BATCH_TOKENS, by_length=pads)
    rows = [order[borders[place] : borders[place + 1]] for place in _places(len(borders) - 1)]
    work = Work.of(one.model, trains=False)
    return _length(one.examples) * _operations_per_token(work, one.goal, one.examples, rows)


def _length(examples: Examples) -> int:
    return int(examples.packed_lengths.sum(dtype=np.int64))


def memory_of(outline: Outline, dtype: torch.dtype, device: torch.device, parts: int) -> dict[str, int]:
    """Bytes by what holds them: while it is trained, or while something is read for that, whichever takes more."""
    taken = state_bytes(outline.model, dtype, outline.phases[0].training.optim, parts=parts)
    activations = max(
        phase.training.batch_tokens * token_bytes(outline.model, dtype, device, phase.train.packed_lengths)
        for phase in outline.phases
    )
    kept = sum(4 * one.numbers * len(one.examples) for one in outline.passes)
    training = taken | {
        "activations": activations,
        "a state being saved": saved_bytes(outline.model, taken, parts=parts, keeps_best=outline.keeps_best),
    }
    if device.type == "cpu":
        if parts == 1:
            training["gaps between blocks"] = int(activations * (1 / usable(device) - 1))
        training["kernels"] = kernel_bytes(max(phase.training.max_seq_length for phase in outline.phases))
    if not outline.passes:
        return training
    reading = max((_reading(one, outline.model) for one in outline.passes), key=lambda held: sum(held.values()))
    most = max(training, reading, key=lambda held: sum(held.values()))
    return most | {"what was read": kept}


def _reading(one: Pass, model: nn.Module) -> dict[str, int]:
    """Bytes while a model reads in float32, beside the one that is to be trained."""
    models = {id(each): each for each in (one.model, model)}.values()
    return {
        "weights": sum(4 * weight.numel() for each in models for weight in each.parameters()),
        "activations": 4 * min(BATCH_TOKENS, _length(one.examples)) * numbers_of_layer(one.model.config),
    }
