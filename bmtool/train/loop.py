"""The training loop of pretrain and finetune. It knows no task: what is trained is a Goal."""

from __future__ import annotations

import math
import time
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch

from bmtool.artifacts.manifest import RESUME
from bmtool.errors import ConfigError, stopped
from bmtool.models.packed import drop_attention_dropout, require_packed
from bmtool.train.checkpoints import BEST, MODEL, OPTIMIZER, Checkpoints, Saved, check_space, storage_errors
from bmtool.train.course import Course
from bmtool.train.device import busy_warning, set_up
from bmtool.train.monitor import METRICS_LOG, Monitor
from bmtool.train.optim import adamw, load_state, state_tensors
from bmtool.train.precision import pick_precision, short_name
from bmtool.train.predict import StoppedHalfwayError, run_goal
from bmtool.train.selection import Selection, validation_is_due
from bmtool.train.state import State
from bmtool.train.steps import Step, Stepper
from bmtool.train.weights import Weights

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from torch import Tensor

    from bmtool.config.shared import Training
    from bmtool.contracts import Columns, Examples, Goal, Job

#: Lines of training losses in the log of a run, about.
LOG_LINES = 200

#: Work worth saving when training ends, before the final model is written.
UNSAVED_SECONDS = 60.0


@dataclass(frozen=True)
class Fitted:
    """What a finished run did. The model it trained holds the chosen weights in float32."""

    steps: int
    tokens: int
    epochs: float
    metrics: dict[str, float | None]
    """Validation metrics of the chosen weights; {} without validation."""
    best: dict[str, Any] | None
    """`{step, metric, value}` if weights were chosen by a metric."""
    stopped_early: bool
    skipped_steps: int
    choices: dict[str, str]
    """Precision, device and threads, each with its reason."""
    tokens_per_second: float
    seconds: float


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


@dataclass
class Trainer:
    """A run while it goes on: log, validation, saving, the end."""

    stepper: Stepper
    validation: Examples | None
    score: Callable[[Columns], dict[str, float]]
    selection: Selection | None
    job: Job
    choices: dict[str, str]
    checkpoints: Checkpoints
    monitor: Monitor
    best_weights: dict[str, Tensor] | None = None
    best_on_disk: int | None = None
    saved_at: float = field(default_factory=time.monotonic)

    @property
    def state(self) -> State:
        """Where the run is."""
        return self.stepper.state

    @property
    def training(self) -> Training:
        """Its settings."""
        return self.stepper.training

    @property
    def course(self) -> Course:
        """Its batches and steps."""
        return self.stepper.course

    @property
    def is_finished(self) -> bool:
        """Whether no step is left, or validation says that it is enough."""
        return self.state.stopped_early or self.state.step >= self.course.num_steps

    @property
    def tokens_per_second(self) -> float:
        """Over all training steps, without validation and saving."""
        return self.state.tokens / self.state.seconds if self.state.seconds else 0.0

    def resume(self, saved: Saved) -> None:
        """Take over a saved state."""
        self.stepper.weights.load(saved.tensors(MODEL))
        load_state(self.stepper.optimizer, self.stepper.weights.masters, saved.tensors(OPTIMIZER))
        if self.state.best is not None:
            self.best_weights = saved.tensors(BEST)
            self.best_on_disk = self.state.best["step"]
        self.job.console.say(f"resumed from step {self.state.step:,} of {self.course.num_steps:,}")

    def log(self, step: Step) -> None:
        """Add the losses up, and write a line about every so many steps."""
        state = self.state
        if math.isfinite(step.loss):
            for term, value in step.losses.items():
                state.losses[term] = state.losses.get(term, 0.0) + value
            state.losses_steps += 1
        if state.step % max(1, self.course.num_steps // LOG_LINES) and state.step != self.course.num_steps:
            return
        means = {term: total / state.losses_steps for term, total in state.losses.items()}
        values = {
            **self._place(),
            "loss": sum(means.values()) if means else math.nan,
            "learning_rate": step.learning_rate,
            "grad_norm": step.grad_norm,
            "tokens_per_second": round(self.tokens_per_second),
        }
        self.monitor.write("train", values | ({"terms": means} if len(means) > 1 else {}))
        state.losses, state.losses_steps = {}, 0

    def validate_if_due(self) -> None:
        """Validate where it is time to; keep the best weights; decide whether to stop early."""
        state = self.state
        if self.validation is None or not validation_is_due(state, self.training, self.course.num_steps):
            return
        try:
            metrics = self._validate(self.validation)
        except StoppedHalfwayError:
            self.stop_if_asked()  # the saved state says that this validation is still due
            raise
        state.evaluated_step, state.metrics = state.step, metrics
        self.monitor.write("validation", {**self._place(), "metrics": metrics})
        shown = ", ".join(f"{name} {'-' if value is None else f'{value:.4g}'}" for name, value in metrics.items())
        self.job.console.say(f"step {state.step:,}: validation {shown}")
        if self.selection is not None and self.selection.judge(state, metrics):
            self.best_weights = self.stepper.weights.snapshot()
        if self.selection is not None and state.stopped_early:
            waited = f"{self.selection.patience} validations"
            self.job.console.say(f"step {state.step:,}: stopped, {self.selection.metric} isn't better after {waited}")

    def _validate(self, validation: Examples) -> dict[str, float | None]:
        batch_tokens = self.training.per_device_batch_tokens
        outputs = run_goal(self.stepper.model, self.stepper.goal, validation, batch_tokens, stop=self.job.stop)
        return {name: value if math.isfinite(value) else None for name, value in self.score(outputs).items()}

    def _place(self) -> dict[str, Any]:
        state = self.state
        epoch = state.epoch + state.batch / self.course.num_batches(state.epoch)
        return {"step": state.step, "epoch": round(epoch, 4), "tokens": state.tokens}

    def save_if_due(self) -> None:
        """Save where `save_every` says so; report a save that failed."""
        self.checkpoints.check()
        every = self.training.save_every
        by_steps = every.steps is not None and self.state.step % every.steps == 0
        if by_steps or (every.seconds is not None and time.monotonic() - self.saved_at >= every.seconds):
            self.save()

    def save(self) -> None:
        """Copy the state; it is written while training goes on."""
        self.monitor.sync()
        weights = self.stepper.weights
        files = {MODEL: weights.snapshot(), OPTIMIZER: state_tensors(self.stepper.optimizer, weights.masters)}
        best = self.state.best
        if best is not None and self.best_weights is not None and best["step"] != self.best_on_disk:
            files[BEST] = self.best_weights
            self.best_on_disk = best["step"]
        self.checkpoints.save(self.state.to_json(), files)
        self.saved_at = time.monotonic()

    def stop_if_asked(self) -> None:
        """After a signal or when time is over: save, and end with the error that says so."""
        reason = self.job.stop.reason
        if not reason:
            return
        if self.checkpoints.last_step != self.state.step:
            self.save()
        self.checkpoints.finish()
        raise stopped(reason, f"step {self.state.step:,} of {self.course.num_steps:,} is saved")

    def finish(self) -> Fitted:
        """Put the chosen weights into the model."""
        if time.monotonic() - self.saved_at > UNSAVED_SECONDS:
            self.save()
        self.checkpoints.finish()
        state, weights, best = self.state, self.stepper.weights, self.state.best
        if self.best_weights is not None:
            weights.load(self.best_weights)
        weights.give_back(self.stepper.model)
        self.stepper.model.train(mode=False)
        return Fitted(
            steps=state.step,
            tokens=state.tokens,
            epochs=self._place()["epoch"],
            metrics=state.metrics if best is None else best["metrics"],
            best=None if best is None else {key: best[key] for key in ("step", "metric", "value")},
            stopped_early=state.stopped_early,
            skipped_steps=state.skipped_steps,
            choices=self.choices,
            tokens_per_second=self.tokens_per_second,
            seconds=state.seconds,
        )


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
        job.console.detail(note)
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
    warning = busy_warning(torch.get_num_threads())
    if warning:
        job.console.warn(warning)
    return device, dtype, choices


def _check_length(model: Any, max_seq_length: int) -> None:
    longest = getattr(model.config, "max_position_embeddings", None)
    if longest is not None and max_seq_length > longest:
        raise ConfigError(f"max_seq_length is {max_seq_length}, and the model has {longest} positions. Lower it")


__all__ = ["Fitted", "Selection", "fit"]
