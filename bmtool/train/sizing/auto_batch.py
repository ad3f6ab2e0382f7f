"""Choose how many tokens a batch has where the file says `auto`: as many as memory holds, and a step stays as it is.

A step has `global_batch_tokens` tokens on every machine; into how many batches it is divided depends on the machine.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bmtool.errors import ConfigError, TryAgainError
from bmtool.models.families.family import family_of
from bmtool.train.machine.memory import held_bytes
from bmtool.train.sizing.out_of_memory import free_bytes
from bmtool.train.sizing.probe import Trial, loads_of
from bmtool.train.weights.footprint import kernel_bytes, saved_bytes, state_bytes, token_bytes, usable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import torch
    from torch import nn

    from bmtool.config.shared import Training
    from bmtool.train.phases import Phase
    from bmtool.train.weights.base import Weights

#: Larger batches are taken to be no faster: their matrix products are large enough. Not measured on a GPU.
USEFUL_TOKENS = {"cpu": 16_384, "cuda": 131_072}

#: Of what a trial took so many times as much is reckoned with. On a CPU freed blocks of different sizes leave gaps,
#: more with each step (docs/training.md, Memory): they may come to as much as a batch takes before they are given back
#: (`ceiling`), and the next step to as much again. On a GPU torch's allocator gives them back by itself; what is left
#: is for batches of other shapes, and wasn't measured.
HELD = {"cpu": 3.0, "cuda": 1.15}

#: On a CPU nothing is tried where memory is so many times what is estimated: the estimate was 0.43 of what was measured
#: in the worst case, and a trial takes as long as 3 to 8 batches, which is much of a short run. On a GPU, where the
#: estimate was never held against anything, it is tried always.
SURELY = 5

#: What a batch takes may be so many times the estimate.
_MISJUDGED = 2

_UNKNOWN = "nobody says how much memory is free"


def settle(
    phases: Sequence[Phase],
    chosen: Sequence[int],
    limit: Callable[[], tuple[int, str]],
    *,
    useful: int,
    processes: int,
) -> tuple[list[Phase], str]:
    """The phases with numbers in place of `auto`, the same in every process; which and why, or nothing without `auto`.

    Args:
        phases: of the run.
        chosen: what a saved state says of each phase, since batches are a function of it; () for a new run.
        limit: how many tokens a batch may have by memory, and why (`tried`, `fitting`), the same in every process.
        useful: from how many tokens on a batch isn't faster.
        processes: of the run.

    Raises:
        ConfigError: the saved state's batches can't be shared out among so many processes.
        TryAgainError: memory doesn't hold a text, or not in batches that divide a step.
    """
    if not any(phase.training.per_device_batch_tokens == "auto" for phase in phases):
        return list(phases), ""
    fits, reason = (0, "as the saved state") if chosen else limit()
    settled, shown = [], []
    for number, phase in enumerate(phases):
        training = phase.training
        if training.per_device_batch_tokens == "auto":
            longest = training.max_seq_length if chosen else _longest(phase)
            most = min(fits, max(useful, 2 * longest))  # a whole number of batches may have half as many in each
            tokens = chosen[number] if chosen else divided(training, most, processes, longest=longest)
            training = _with_batches(training, tokens)
            if training.gradient_accumulation_steps % processes:
                raise _unshared(training, processes)
            shown.append(f"{training.gradient_accumulation_steps} x {tokens:,} tokens")
        settled.append(replace(phase, training=training))
    return settled, f"{', '.join(shown)} ({reason})"


def divided(training: Training, fits: int, processes: int, *, longest: int) -> int:
    """How many tokens a batch has if at most `fits` do: a step is a whole number of batches for each process.

    Raises:
        TryAgainError: then a batch would have no room for the longest example.
    """
    step = training.global_batch_tokens or 0
    batches = processes * -(-step // (processes * max(1, fits)))
    tokens = step // batches
    while tokens >= longest and step // tokens % processes:  # many small batches: of those of the next size more fit in
        batches += processes
        tokens = step // batches
    if tokens < longest:
        raise TryAgainError(
            f"per_device_batch_tokens: auto: about {fits:,} tokens fit into memory. A step of {step:,} in {batches:,} "
            f"batches has {tokens:,} in each, and a text up to {longest:,}. Free some memory, raise "
            f"global_batch_tokens, or lower max_seq_length"
        )
    return tokens


def _longest(phase: Phase) -> int:
    """Tokens that a batch must have room for: an example may have two texts."""
    return max(phase.training.max_seq_length, int(phase.train.packed_lengths.max(initial=0)))


def _unshared(training: Training, processes: int) -> ConfigError:
    batches = training.gradient_accumulation_steps
    return ConfigError(
        f"runtime.processes: the saved state goes on with {batches:,} batches a step, as per_device_batch_tokens: auto "
        f"chose them when it began, and {processes} processes can't share them. Set it to a divisor of {batches:,}, or "
        f"begin again with --force"
    )


def _with_batches(training: Training, tokens: int) -> Training:
    """The settings with so many tokens a batch, and as many batches as a step has."""
    batches = (training.global_batch_tokens or 0) // tokens
    changes = {"per_device_batch_tokens": tokens, "gradient_accumulation_steps": batches, "global_batch_tokens": None}
    return training.model_copy(update=changes)


def fitting(
    model: nn.Module, phases: Sequence[Phase], device: torch.device, dtype: torch.dtype, *, local_size: int, parts: int
) -> tuple[int, str]:
    """How many tokens a batch may have by what is free and by the estimate of `--dry-run`, and why.

    Processes on a machine share its memory; each GPU has its own. Of weights that are shared out each of `parts` has
    its rows. Where nobody says what is free, all that is useful fits. The model isn't on the device yet.
    """
    free = free_bytes(device)
    if free is None:
        return max(USEFUL_TOKENS.values()), _UNKNOWN
    mine = free if device.type == "cuda" else free // local_size
    state = state_bytes(model, dtype, phases[0].training.optim, parts=parts)
    room = mine - sum(state.values()) - _beside(model, phases, state, device, parts=parts)
    fits = _estimated(model, phases, device, dtype, room, parts=parts)
    return fits, f"{free / 1e9:.1f} GB of memory are free, by the estimate"


def tried(
    weights: Weights, phases: Sequence[Phase], device: torch.device, seed: int, *, keeps_best: bool
) -> tuple[int, str]:
    """How many tokens a batch may have by what is free and by what batches took in a trial, and why.

    The same in all processes: what fits into the memory of the one that has least. Weights are there already. Those
    that are shared out are estimated: a process that ran out of memory would leave the others waiting for its rows.
    """
    world = weights.world
    frees = world.gathered(free_bytes(device))  # all have what they keep, and none has begun to try
    free = frees[world.rank] if device.type == "cuda" or None in frees else min(frees) // world.local_size
    fits, reason = (
        (max(USEFUL_TOKENS.values()), _UNKNOWN)
        if None in frees
        else _fits(weights, phases, device, seed, free, keeps_best=keeps_best)
    )
    return min(world.gathered(fits)), reason


def _fits(
    weights: Weights, phases: Sequence[Phase], device: torch.device, seed: int, free: int, *, keeps_best: bool
) -> tuple[int, str]:
    """The same for this process alone, which may have so many bytes."""
    model, parts = weights.model, 1 if weights.are_whole else weights.world.size
    state = state_bytes(model, weights.dtype, phases[0].training.optim, parts=parts)
    room = free - state["optimizer"] - _beside(model, phases, state, device, parts=parts, keeps_best=keeps_best)
    is_free = f"{free / 1e9:.1f} GB of memory are free"
    guess = _estimated(model, phases, device, weights.dtype, room - state["gradients"], parts=parts)
    if parts > 1:
        return guess, f"{is_free}, estimated: weights are shared out"
    loads = list(loads_of(phases, pads=family_of(model).pads))
    step = max((load.phase.training.room for load in loads), default=0)
    useful = min(USEFUL_TOKENS[device.type], -(-step // weights.world.size))
    smallest = max((load.size(load.heaviest(1)) for load in loads), default=0)
    if device.type == "cpu" and guess >= SURELY * useful:
        return guess, f"{is_free}, {SURELY} times what is estimated to be needed: not tried"
    if device.type == "cpu" and _MISJUDGED * guess < smallest:  # it might end this process, or another one
        return guess, f"{is_free}, estimated: too little to try"
    trial = Trial(weights, device, seed)
    kept = trial.warm_up(loads)
    lines = [None if kept is None else trial.line(load, _first_size(guess, useful, device)) for load in loads]
    found = [line for line in lines if line is not None]
    if kept is None or len(found) < len(loads):
        return 0, f"{is_free}, and the smallest batch ran out of it"
    share = (room - kept) / HELD[device.type]
    worst = min(found, key=lambda line: line.fits(share))
    sizes = " and ".join(f"{size:,}" for size in worst.tried)
    return worst.fits(share), f"{is_free}, and a token took {worst.of_token / 1e3:,.0f} KB in trials with {sizes}"


def ceiling(weights: Weights, phases: Sequence[Phase], device: torch.device, *, keeps_best: bool) -> int | None:
    """How much this process may hold between steps, so that the largest batch still finds memory; None: no matter.

    Asked for before the first step, where the size of batches was left to memory. What is above it are gaps.
    """
    free = free_bytes(device) if device.type == "cpu" and weights.are_whole else None
    if free is None or all(phase.training.global_batch_tokens is None for phase in phases):
        return None
    mine = free // weights.world.local_size
    state = state_bytes(weights.model, weights.dtype, phases[0].training.optim)
    room = mine - state["optimizer"] - _beside(weights.model, phases, state, device, parts=1, keeps_best=keeps_best)
    return held_bytes() + mine - int(room / HELD["cpu"])


def _first_size(guess: int, useful: int, device: torch.device) -> int:
    """The larger batch of a trial. On a CPU it must not run out of memory: nobody could say so."""
    return min(useful, guess if device.type == "cuda" else guess // _MISJUDGED)


def _beside(
    model: nn.Module,
    phases: Sequence[Phase],
    state: dict[str, int],
    device: torch.device,
    *,
    parts: int,
    keeps_best: bool = False,
) -> int:
    """Bytes of main memory that a run on a CPU takes besides weights, what belongs to them, and batches."""
    if device.type != "cpu":
        return 0
    longest = max(phase.training.max_seq_length for phase in phases)
    return saved_bytes(model, state, parts=parts, keeps_best=keeps_best) + kernel_bytes(longest)


def _estimated(
    model: nn.Module, phases: Sequence[Phase], device: torch.device, dtype: torch.dtype, room: int, *, parts: int
) -> int:
    """How many tokens a batch of so many bytes has by the estimate of `--dry-run`."""
    of_token = max(token_bytes(model, dtype, device, phase.train.packed_lengths) for phase in phases)
    return max(0, int(usable(device, parts=parts) * room)) // max(1, of_token)
