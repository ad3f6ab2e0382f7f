"""Choose how many tokens a batch has where the file says `auto`: as many as memory holds, and a step stays as it is.

A step has `global_batch_tokens` tokens on every machine; into how many batches it is divided depends on the machine.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from bmtool.errors import ConfigError, TryAgainError
from bmtool.train.sizing.out_of_memory import free_bytes
from bmtool.train.weights.footprint import kernel_bytes, saved_bytes, state_bytes, token_bytes, usable

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import torch
    from torch import nn

    from bmtool.config.shared import Training
    from bmtool.train.phases import Phase

#: Larger batches are taken to be no faster: their matrix products are large enough. Not measured on a GPU.
USEFUL_TOKENS = {"cpu": 16_384, "cuda": 131_072}


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
        limit: how many tokens a batch may have by memory, and why (`fitting`), the same in every process.
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
            most = min(fits, max(useful, training.max_seq_length))
            tokens = chosen[number] if chosen else divided(training, most, processes)
            training = _with_batches(training, tokens)
            if training.gradient_accumulation_steps % processes:
                raise _unshared(training, processes)
            shown.append(f"{training.gradient_accumulation_steps} x {tokens:,} tokens")
        settled.append(replace(phase, training=training))
    return settled, f"{', '.join(shown)} ({reason})"


def divided(training: Training, fits: int, processes: int) -> int:
    """How many tokens a batch has if at most `fits` do: a step is a whole number of batches for each process.

    Raises:
        TryAgainError: then a batch would have no room for a text.
    """
    step, longest = training.global_batch_tokens or 0, training.max_seq_length
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
    its rows. Where nobody says what is free, all that is useful fits. The model isn't on the device yet; on a CPU its
    weights in float32 are reckoned with once too often.
    """
    free = free_bytes(device)
    if free is None:
        return max(USEFUL_TOKENS.values()), "nobody says how much memory is free"
    state = state_bytes(model, dtype, phases[0].training.optim, parts=parts)
    mine = free if device.type == "cuda" else free // local_size
    missing = sum(state.values())
    if device.type == "cpu":  # a state being saved is copied to main memory
        longest = max(phase.training.max_seq_length for phase in phases)
        missing += saved_bytes(model, state, parts=parts) + kernel_bytes(longest)
    of_token = max(token_bytes(model, dtype, device, phase.train.packed_lengths) for phase in phases)
    fits = max(0, int(usable(device, parts=parts) * (mine - missing))) // max(1, of_token)
    return fits, f"{mine / 1e9:.1f} GB of memory are free"
