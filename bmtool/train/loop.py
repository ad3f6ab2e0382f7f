"""The training loop of pretrain and finetune. It knows no task: what is trained is a Goal."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from bmtool.artifacts.faults import fault
from bmtool.artifacts.manifest import RESUME
from bmtool.errors import ConfigError, DivergedError, stopped
from bmtool.models.batches import to_device
from bmtool.models.packed import drop_attention_dropout, require_packed
from bmtool.train.checkpoints import BEST, Checkpoints, Saved, check_space, storage_errors
from bmtool.train.course import Course
from bmtool.train.device import busy_warning, set_up
from bmtool.train.monitor import METRICS_LOG, Monitor
from bmtool.train.optim import adamw, load_state, set_rate, state_tensors
from bmtool.train.plan import DROPOUT, generator
from bmtool.train.precision import pick_precision, short_name
from bmtool.train.predict import StoppedHalfwayError, run_goal
from bmtool.train.schedules import factor
from bmtool.train.state import State
from bmtool.train.weights import Weights

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from torch import Tensor

    from bmtool.config.shared import Training
    from bmtool.contracts import Batch, Columns, Examples, Goal, Job

#: Lines of training losses in the log of a run, about.
LOG_LINES = 200

#: Useless windows among the last `BAD_AMONG` steps that end a run.
MAX_BAD, BAD_AMONG = 3, 100

#: A loss this many times the first one (or 1 nat, if that is more) is a spike. Untrained weights don't give that.
SPIKE = 10.0

#: Work worth saving when training ends, before the final model is written.
UNSAVED_SECONDS = 60.0


@dataclass(frozen=True)
class Selection:
    """Which weights to keep: those with the best validation value of one metric."""

    metric: str
    higher_is_better: bool
    patience: int | None = None
    """Stop after this many validations in a row that aren't better."""

    def is_better(self, value: float | None, best: float | None) -> bool:
        """Whether `value` beats the best so far; an equal or undefined one doesn't."""
        if value is None or not math.isfinite(value):
            return False
        return best is None or (value > best if self.higher_is_better else value < best)


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
    without it after each epoch where epochs are the budget, else ten times; and at the end.

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
    trainer = _prepare(model, goal, train, validation, training, job, score, selection)
    trainer.start(head, head_learning_rate)
    total = trainer.course.num_steps
    with storage_errors(str(job.folder)), job.console.progress("training", total=total) as progress:
        progress.advance(trainer.state.step)
        while True:
            trainer.evaluate_if_due()
            if trainer.is_finished:
                break
            trainer.stop_if_asked()
            notes = trainer.step()
            trainer.save_if_due()
            progress.advance(1, **notes)
        return trainer.finish()


@dataclass
class Trainer:
    """A run while it goes on."""

    model: Any
    goal: Goal
    train: Examples
    validation: Examples | None
    training: Training
    job: Job
    score: Callable[[Columns], dict[str, float]]
    selection: Selection | None
    course: Course
    device: torch.device
    choices: dict[str, str]
    weights: Weights
    checkpoints: Checkpoints
    monitor: Monitor
    saved: Saved | None
    state: State
    optimizer: torch.optim.Optimizer | None = None
    best_weights: dict[str, Tensor] | None = None
    best_on_disk: int | None = None
    saved_at: float = 0.0

    def start(self, head: Collection[str], head_learning_rate: float | None) -> None:
        """Make the optimizer; take over the saved state, or check that the disk can hold one."""
        self.optimizer = adamw(
            self.weights.masters,
            learning_rate=self.training.learning_rate,
            weight_decay=self.training.weight_decay,
            head=head,
            head_learning_rate=head_learning_rate,
        )
        self.saved_at = time.monotonic()
        self.monitor.rewind(self.state.step)
        if self.saved is None:
            num_weights = sum(master.numel() for master in self.weights.masters.values())
            check_space(self.checkpoints.folder, num_weights, keeps_best=self.selection is not None)
            return
        self.weights.load(self.saved.tensors("model.safetensors"))
        load_state(self.optimizer, self.weights.masters, self.saved.tensors("optimizer.safetensors"))
        if self.state.best is not None:
            self.best_weights = self.saved.tensors(BEST)
            self.best_on_disk = self.state.best["step"]
        self.job.console.say(f"resumed from step {self.state.step:,} of {self.course.num_steps:,}")

    @property
    def is_finished(self) -> bool:
        """Whether no step is left, or validation says that it is enough."""
        return self.state.stopped_early or self.state.step >= self.course.num_steps

    # ------------------------------------------------------------ one step

    def step(self) -> dict[str, str]:
        """Train on one window; return a few numbers for the progress bar."""
        started = time.perf_counter()
        places = self.course.window(self.state.epoch, self.state.batch)
        batches = [self._collate(epoch, batch) for epoch, batch in places]
        losses = self._backward(places, batches)
        grad_norm = self._update(losses)
        num_tokens = sum(batch.num_tokens for batch in batches)
        self._advance(places, num_tokens)
        self.state.seconds += time.perf_counter() - started
        self._log(losses, grad_norm)
        return {"loss": f"{sum(losses.values()):.3f}", "tokens/s": f"{self._tokens_per_second():,.0f}"}

    def _collate(self, epoch: int, batch: int) -> Batch:
        rng = generator(self.job.seed, epoch, batch)
        return self.goal.collate(self.train, self.course.rows(epoch, batch), rng)

    def _backward(self, places: list[tuple[int, int]], batches: list[Batch]) -> dict[str, float]:
        """Add up gradients over the window; return the mean of each loss term over the window's targets."""
        counts: dict[str, int] = {}
        for batch in batches:
            for term, count in batch.counts.items():
                counts[term] = counts.get(term, 0) + count
        means = {term: torch.zeros((), device=self.device) for term in counts}
        broken = fault("step", self.state.step + 1)
        for (epoch, index), batch in zip(places, batches, strict=True):
            torch.manual_seed(int(generator(self.job.seed, epoch, index, DROPOUT).integers(2**63)))
            sums = self.goal.losses(self.model, to_device(batch, self.device))
            loss = sum((value / max(1, counts[term]) for term, value in sums.items()), torch.zeros(()).to(self.device))
            (loss * math.nan if broken else loss).backward()  # type: ignore[no-untyped-call]
            self.weights.add_gradients()
            for term, value in sums.items():
                means[term] += value.detach() / max(1, counts[term])
        return {term: math.nan if broken else float(value) for term, value in means.items()}

    def _update(self, losses: dict[str, float]) -> float:
        """Move the weights, unless loss or gradient are no use; return the norm of the gradient before clipping."""
        gradients = self.weights.gradients()
        norm = torch.nn.utils.get_total_norm(gradients)
        grad_norm, loss = float(norm), sum(losses.values())
        if self._is_usable(loss, grad_norm):
            scale = self.training.max_grad_norm / (grad_norm + 1e-6)
            if scale < 1:
                torch._foreach_mul_(gradients, scale)
            set_rate(self._optimizer, self._factor())
            self._optimizer.step()
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
        step = self.state.step + 1
        self.state.bad_steps = [bad for bad in self.state.bad_steps if bad > step - BAD_AMONG] + [step]
        self.state.skipped_steps += 1
        self.job.console.warn(f"step {step}: loss {loss:g}, gradient norm {grad_norm:g}; this window is skipped")
        if len(self.state.bad_steps) >= MAX_BAD:
            steps = ", ".join(map(str, self.state.bad_steps))
            raise DivergedError(
                f"training diverged: {MAX_BAD} windows (steps {steps}) gave no usable loss or gradient. "
                f"Lower learning_rate (now {self.training.learning_rate:g}), raise warmup_ratio "
                f"(now {self.training.warmup_ratio:g}), or set precision to fp32 (now {self.state.precision})"
            )

    def _factor(self) -> float:
        training = self.training
        return factor(
            training.lr_scheduler_type,
            self.state.step,
            self.course.num_steps,
            warmup_ratio=training.warmup_ratio,
            decay_ratio=training.decay_ratio,
        )

    def _advance(self, places: list[tuple[int, int]], num_tokens: int) -> None:
        state = self.state
        state.step += 1
        state.tokens += num_tokens
        state.epoch, state.batch = self.course.following(*places[-1])
        state.ended_epoch = state.epoch != places[0][0]

    # ------------------------------------------------------------ log and validation

    def _log(self, losses: dict[str, float], grad_norm: float) -> None:
        state = self.state
        if math.isfinite(sum(losses.values())):
            for term, value in losses.items():
                state.losses[term] = state.losses.get(term, 0.0) + value
            state.losses_steps += 1
        every = max(1, self.course.num_steps // LOG_LINES)
        if state.step % every and state.step != self.course.num_steps:
            return
        means = {term: total / max(1, state.losses_steps) for term, total in state.losses.items()}
        values = {
            **self._place(),
            "loss": sum(means.values()) if state.losses_steps else math.nan,
            "learning_rate": self._optimizer.param_groups[0]["lr"],
            "grad_norm": grad_norm,
            "tokens_per_second": round(self._tokens_per_second()),
        }
        self.monitor.write("train", values | ({"terms": means} if len(means) > 1 else {}))
        state.losses, state.losses_steps = {}, 0

    def evaluate_if_due(self) -> None:
        """Validate where it is time to, once for a step; keep the best weights; decide whether to stop early."""
        if self.validation is None or not self._evaluation_is_due():
            return
        state = self.state
        try:
            metrics = self._evaluate(self.validation)
        except StoppedHalfwayError:
            self.stop_if_asked()
            raise
        state.evaluated_step, state.metrics = state.step, metrics
        self.monitor.write("validation", {**self._place(), "metrics": metrics})
        shown = ", ".join(f"{name} {'-' if value is None else f'{value:.4g}'}" for name, value in metrics.items())
        self.job.console.say(f"step {state.step:,}: validation {shown}")
        if self.selection is not None:
            self._select(self.selection, metrics)

    def _evaluation_is_due(self) -> bool:
        state, training = self.state, self.training
        if not state.step or state.evaluated_step == state.step:
            return False
        if state.step == self.course.num_steps:
            return True
        if training.eval_every is not None and training.eval_every.steps is not None:
            return state.step % training.eval_every.steps == 0
        if training.num_train_epochs is not None:
            return state.ended_epoch
        return state.step % max(1, self.course.num_steps // 10) == 0

    def _evaluate(self, validation: Examples) -> dict[str, float | None]:
        batch_tokens = self.training.per_device_batch_tokens
        outputs = run_goal(self.model, self.goal, validation, batch_tokens, stop=self.job.stop)
        values = self.score(outputs)
        return {name: float(value) if math.isfinite(value) else None for name, value in values.items()}

    def _select(self, selection: Selection, metrics: dict[str, float | None]) -> None:
        state, value = self.state, metrics[selection.metric]
        if selection.is_better(value, None if state.best is None else state.best["value"]):
            state.best = {"step": state.step, "metric": selection.metric, "value": value, "metrics": metrics}
            state.evaluations_since_best = 0
            self.best_weights = self.weights.snapshot()
            return
        state.evaluations_since_best += 1
        state.stopped_early = selection.patience is not None and state.evaluations_since_best >= selection.patience
        if state.stopped_early:
            waited = f"{selection.patience} validations"
            self.job.console.say(f"step {state.step:,}: stopped, {selection.metric} isn't better after {waited}")

    def _place(self) -> dict[str, Any]:
        state = self.state
        epoch = state.epoch + state.batch / self.course.num_batches(state.epoch)
        return {"step": state.step, "epoch": round(epoch, 4), "tokens": state.tokens}

    def _tokens_per_second(self) -> float:
        return self.state.tokens / self.state.seconds if self.state.seconds else 0.0

    # ------------------------------------------------------------ saving and the end

    def save_if_due(self) -> None:
        """Save where `save_every` says so; report a save that failed."""
        self.checkpoints.check()
        every = self.training.save_every
        if every.steps is not None and self.state.step % every.steps == 0:
            self.save()
        if every.seconds is not None and time.monotonic() - self.saved_at >= every.seconds:
            self.save()

    def save(self, *, wait: bool = False) -> None:
        """Copy the state; it is written while training goes on."""
        self.monitor.sync()
        files = {
            "model.safetensors": self.weights.snapshot(),
            "optimizer.safetensors": state_tensors(self._optimizer, self.weights.masters),
        }
        best = self.state.best
        if best is not None and self.best_weights is not None and best["step"] != self.best_on_disk:
            files[BEST] = self.best_weights
            self.best_on_disk = best["step"]
        self.checkpoints.save(self.state.to_json(), files, wait=wait)
        self.saved_at = time.monotonic()

    def stop_if_asked(self) -> None:
        """After a signal or when time is over: save, and end with the error that says so."""
        reason = self.job.stop.reason
        if not reason:
            return
        if self.state.step and self.checkpoints.last_step != self.state.step:
            self.save()
        self.checkpoints.finish()
        raise stopped(reason, f"step {self.state.step:,} of {self.course.num_steps:,} is saved")

    def finish(self) -> Fitted:
        """Put the chosen weights into the model."""
        if time.monotonic() - self.saved_at > UNSAVED_SECONDS:
            self.save()
        self.checkpoints.finish()
        state = self.state
        if self.best_weights is not None:
            self.weights.load(self.best_weights)
        self.weights.give_back(self.model)
        self.model.train(mode=False)
        best = state.best
        return Fitted(
            steps=state.step,
            tokens=state.tokens,
            epochs=self._place()["epoch"],
            metrics=state.metrics if best is None else best["metrics"],
            best=None if best is None else {key: best[key] for key in ("step", "metric", "value")},
            stopped_early=state.stopped_early,
            skipped_steps=state.skipped_steps,
            choices=self.choices,
            tokens_per_second=self._tokens_per_second(),
            seconds=state.seconds,
        )

    @property
    def _optimizer(self) -> torch.optim.Optimizer:
        if self.optimizer is None:
            raise AssertionError("start() makes the optimizer")
        return self.optimizer


def _prepare(
    model: Any,
    goal: Goal,
    train: Examples,
    validation: Examples | None,
    training: Training,
    job: Job,
    score: Callable[[Columns], dict[str, float]],
    selection: Selection | None,
) -> Trainer:
    """Choose device, threads and precision, say why, and put the parts together."""
    require_packed(model)
    _check_length(model, training.max_seq_length)
    checkpoints = Checkpoints(job.folder / RESUME, job.console)
    saved = checkpoints.newest()
    state = State() if saved is None else State.from_json(saved.state)
    device, choices = set_up(job.runtime)
    dtype, reason = pick_precision(training.precision if saved is None else state.precision, device)
    state.precision = short_name(dtype)
    choices = {"precision": f"{state.precision} ({reason if saved is None else 'as in the saved state'})", **choices}
    course = Course(train.packed_lengths, training, job.seed)
    dropped = drop_attention_dropout(model)
    job.console.say(course.description)
    job.console.say(", ".join(f"{name} {value}" for name, value in choices.items()))
    for note in filter(None, (dropped, busy_warning(torch.get_num_threads()))):
        job.console.detail(note) if note is dropped else job.console.warn(note)
    model.to(device)
    model.train()
    return Trainer(
        model=model,
        goal=goal,
        train=train,
        validation=validation if validation is not None and len(validation) else None,
        training=training,
        job=job,
        score=score,
        selection=selection,
        course=course,
        device=device,
        choices=choices,
        weights=Weights.of(model, dtype),
        checkpoints=checkpoints,
        monitor=Monitor(job.folder / METRICS_LOG),
        saved=saved,
        state=state,
    )


def _check_length(model: Any, max_seq_length: int) -> None:
    longest = getattr(model.config, "max_position_embeddings", None)
    if longest is not None and max_seq_length > longest:
        raise ConfigError(f"max_seq_length is {max_seq_length}, and the model has {longest} positions. Lower it")
