"""What a training run will take, before it begins: memory, steps, tokens, time and disk, counted and not tried.

Time is arithmetic over speed: what a step needs (`bmtool.models.flops`), over the machine's measured matrix-product
peak times the share of it that runs reach.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bmtool.models.families import family_of
from bmtool.models.flops import Work
from bmtool.train.checkpoints import space_needed
from bmtool.train.layers import is_hidden
from bmtool.train.plan import generator

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch
    from torch import nn

    from bmtool.train.course import Course
    from bmtool.train.phases import Phase

#: Batches of a phase that are packed, to count what one takes.
_SAMPLED_BATCHES = 4


@dataclass(frozen=True)
class Outline:
    """What would be trained: a model without weights (on torch's meta device), and its phases."""

    model: nn.Module
    phases: Sequence[Phase]
    keeps_best: bool = False
    """Whether the best weights are kept beside the last ones"""


@dataclass(frozen=True)
class Estimate:
    """About what a run takes."""

    parameters: int
    memory: dict[str, int]
    """Bytes of each process by what holds them; what Python and torch themselves take (some 500 MB) isn't in it"""
    steps: int
    tokens: int
    operations: float
    """Of all steps, forward and backward"""
    disk: int
    """Bytes, while states are saved, the final model with them"""

    def seconds(self, speed: float) -> float:
        """How long all steps take at so many operations a second, without validation and saving."""
        return self.operations / speed

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return asdict(self)


def estimate(outline: Outline, dtype: torch.dtype, seed: int) -> Estimate:
    """Count; `dtype` is what the model computes in."""
    steps = tokens = 0
    operations = 0.0
    work = Work.of(outline.model)
    for number, phase in enumerate(outline.phases):
        course = phase.course(seed, number, by_length=family_of(outline.model).pads)
        own_steps, own_tokens = course.num_steps, _tokens(course)
        steps, tokens = steps + own_steps, tokens + own_tokens
        operations += own_tokens * _operations_per_token(work, phase, course)
    count = sum(parameter.numel() for parameter in outline.model.parameters())
    return Estimate(
        parameters=count,
        memory=_memory(outline, dtype),
        steps=steps,
        tokens=tokens,
        operations=operations,
        disk=space_needed(count, keeps_best=outline.keeps_best),
    )


def _tokens(course: Course) -> int:
    """Of all steps, if the batches of later epochs are as full as those of the first."""
    rising = min(course.num_steps, course.training.batch_warmup_steps)
    batches = sum(course.window_size(step) for step in range(rising))
    batches += (course.num_steps - rising) * course.training.gradient_accumulation_steps
    of_batches = course.batch_sizes(0)
    epochs, rest = divmod(batches, len(of_batches))
    return int(epochs * of_batches.sum() + of_batches[:rest].sum())


def _operations_per_token(work: Work, phase: Phase, course: Course) -> float:
    """Of a few batches of the first epoch, at equal distances."""
    num_batches = course.num_batches(0)
    places = sorted({int(place) for place in np.linspace(0, num_batches - 1, _SAMPLED_BATCHES)})
    batches = [phase.goal.collate(phase.train, course.rows(0, place), generator(0, 0, place)) for place in places]
    return sum(work.of_batch(batch) for batch in batches) / sum(batch.num_tokens for batch in batches)


def _memory(outline: Outline, dtype: torch.dtype) -> dict[str, int]:
    """Bytes by what holds them."""
    taken = state_bytes(outline.model, dtype, outline.phases[0].training.optim)
    count = sum(one.numel() for one in outline.model.parameters() if one.requires_grad)
    largest = max(phase.training.batch_tokens for phase in outline.phases)
    return taken | {
        "activations": largest * kept_bytes(outline.model.config, dtype.itemsize),
        "a state being saved": 4 * count * (2 if outline.keeps_best else 1) + taken["optimizer"],
    }


def state_bytes(model: nn.Module, dtype: torch.dtype, optim: str) -> dict[str, int]:
    """Bytes of `weights`, `gradients` and `optimizer`, if one process holds all of them."""
    trained = {name: one for name, one in model.named_parameters() if one.requires_grad}
    count = sum(one.numel() for one in trained.values())
    all_weights = sum(one.numel() for one in model.parameters())
    copy = 0 if dtype.itemsize == 4 else all_weights * dtype.itemsize
    # AdamW keeps two moments in float32; Muon one, of the matrices that it moves.
    muon = [one for name, one in trained.items() if optim == "muon" and one.ndim == 2 and is_hidden(name)]
    return {
        "weights": 4 * all_weights + copy,
        # In float32, and for a moment in the type of the computation.
        "gradients": 4 * count + (0 if dtype.itemsize == 4 else count * dtype.itemsize),
        "optimizer": 4 * (2 * count - sum(one.numel() for one in muon)),
    }


def kept_bytes(config: Any, itemsize: int) -> int:
    """What a token leaves for the backward pass, roughly, in numbers of `itemsize` bytes.

    Of each layer 8 hidden widths and twice the inner one: Korthikanti et al. 2022, "Reducing activation recomputation",
    section 4.1, without dropout masks and without attention's matrix, which isn't kept. A third more was measured, BERT
    4x256 in float32 (88 kB a token): the gradients of a layer on the way.
    """
    hidden = config.hidden_size
    inner = getattr(config, "intermediate_size", None) or getattr(config, "n_inner", None) or 4 * hidden
    return itemsize * int(config.num_hidden_layers * (8 * hidden + 2 * inner) * 4 / 3)
