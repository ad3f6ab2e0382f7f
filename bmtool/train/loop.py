"""The training loop of pretrain and finetune. It knows no task: what is trained is a Goal."""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING, Any

import torch

from bmtool.artifacts.manifest import RESUME
from bmtool.errors import ConfigError
from bmtool.models.packed import drop_attention_dropout, require_packed
from bmtool.train.checkpoints import Checkpoints, check_space, storage_errors
from bmtool.train.course import Course
from bmtool.train.device import busy_warning, other_running, set_up
from bmtool.train.monitor import METRICS_LOG, Monitor
from bmtool.train.optim import adamw
from bmtool.train.precision import pick_precision, short_name
from bmtool.train.selection import Selection
from bmtool.train.state import State
from bmtool.train.steps import Stepper
from bmtool.train.trainer import Fitted, Trainer
from bmtool.train.weights import Weights

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from bmtool.config.shared import Training
    from bmtool.contracts import Columns, Examples, Goal, Job


def fit(
    model: Any,
    goal: Goal,
    train: Examples,
    validation: Examples | None,
    *,
    training: Training,
    job: Job,
    score: Callable[[Columns], dict[str, float]],
    selection: Selection | None = None,
    head: Collection[str] = (),
    head_learning_rate: float | None = None,
) -> Fitted:
    """Train `model` in place and return what was done; the log is `job.folder/metrics.jsonl`.

    Saved states in `job.folder/checkpoints` are gone on from; on a CPU with as many threads the result is the same, bit
    for bit, as without the interruption. A step sums gradients over a window of micro-batches and divides by the number
    of targets in the window, so that k micro-batches equal one batch. Validation runs every `training.eval_every`;
    without it after each epoch; and at the end.

    Args:
        model: a float32 transformers model with packed attention.
        goal: what is trained.
        train: what is trained on.
        validation: what is measured on; None: never.
        training: budget, optimizer, schedule, precision, when to save.
        job: folder, seed, machine, console, and who asks to stop.
        score: turns the goal's outputs on `validation` into metric values; NaN where undefined.
        selection: keep the best weights by a metric; None: the last.
        head: names of parameters that get `head_learning_rate`.
        head_learning_rate: None: the same as all others.

    Raises:
        TryAgainError, StoppedError: asked to stop; the state is saved.
        DivergedError: three windows in a short time gave no usable gradient.
        StorageError: the disk is full or broken.
        ConfigError: the model can't be packed, or is too short for `max_seq_length`.
    """
    require_packed(model)
    _check_length(model, training.max_seq_length)
    checkpoints = Checkpoints(job.folder / RESUME, job.console)
    with storage_errors(str(job.folder)), closing(checkpoints):
        trainer = _prepare(
            model, goal, train, validation, training, job, score, selection, head, head_learning_rate, checkpoints
        )
        with job.console.progress("training", total=trainer.course.num_steps) as progress:
            progress.advance(trainer.state.step)
            while True:
                trainer.validate_if_due()
                if trainer.is_finished:
                    return trainer.finish()
                trainer.stop_if_asked()
                step = trainer.stepper.step()
                trainer.log(step)
                trainer.save_if_due()
                progress.advance(1, **{"loss": f"{step.loss:.3f}", "tokens/s": f"{trainer.tokens_per_second:,.0f}"})


def _prepare(
    model: Any,
    goal: Goal,
    train: Examples,
    validation: Examples | None,
    training: Training,
    job: Job,
    score: Callable[[Columns], dict[str, float]],
    selection: Selection | None,
    head: Collection[str],
    head_learning_rate: float | None,
    checkpoints: Checkpoints,
) -> Trainer:
    """Choose device, threads and precision, say why, put the parts together, and take over a saved state."""
    saved = checkpoints.newest()
    state = State() if saved is None else State.from_json(saved.state)
    course = Course(train.packed_lengths, training, job.seed)
    device, dtype, choices = _choose(training, job, state)
    note = drop_attention_dropout(model)
    if note:
        job.console.say(note)
    job.console.say(course.description)
    model.to(device)
    model.train()
    weights = Weights.of(model, dtype)
    optimizer = adamw(
        weights.masters,
        learning_rate=training.learning_rate,
        weight_decay=training.weight_decay,
        head=head,
        head_learning_rate=head_learning_rate,
    )
    monitor = Monitor(job.folder / METRICS_LOG)
    monitor.rewind(state.step)
    stepper = Stepper(model, goal, train, course, training, weights, optimizer, state, job.seed, device, job.console)
    has_rows = validation is not None and len(validation) > 0
    trainer = Trainer(stepper, validation if has_rows else None, score, selection, job, choices, checkpoints, monitor)
    if saved is None:
        check_space(checkpoints.folder, weights.count, keeps_best=selection is not None)
    else:
        trainer.resume(saved)
    return trainer


def _choose(training: Training, job: Job, state: State) -> tuple[torch.device, torch.dtype, dict[str, str]]:
    """Device and precision (that of a saved state goes on), and all choices with their reasons."""
    device, choices = set_up(job.runtime)
    dtype, reason = pick_precision(state.precision or training.precision, device)
    if state.precision:
        reason = "as the saved state"
    state.precision = short_name(dtype)
    choices = {"precision": f"{state.precision} ({reason})", **choices}
    job.console.say(", ".join(f"{name} {value}" for name, value in choices.items()))
    warning = busy_warning(torch.get_num_threads(), other_running(), os.cpu_count() or 1)
    if warning:
        job.console.say(warning)
    return device, dtype, choices


def _check_length(model: Any, max_seq_length: int) -> None:
    longest = getattr(model.config, "max_position_embeddings", None)
    if longest is not None and max_seq_length > longest:
        raise ConfigError(f"max_seq_length is {max_seq_length}, and the model has {longest} positions. Lower it")


__all__ = ["Fitted", "Selection", "fit"]
