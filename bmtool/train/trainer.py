"""A run while it goes on: its log, its validation, its saved states and its end."""

from __future__ import annotations

import math
import resource
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bmtool.errors import stopped
from bmtool.train.fitted import Fitted
from bmtool.train.machine.memory import trim_above
from bmtool.train.machine.peak import matmul_peak
from bmtool.train.measuring import scores_of
from bmtool.train.selection import Selection, validation_is_due
from bmtool.train.states.checkpoints import BEST, MODEL, OPTIMIZER, Checkpoints, Saved
from bmtool.train.weights.averaging import average_with

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from bmtool.config.shared import Training
    from bmtool.contracts import Examples, Job
    from bmtool.train.course import Course
    from bmtool.train.phases import Phase
    from bmtool.train.states.recovery import Start
    from bmtool.train.states.state import State
    from bmtool.train.steps import Step, Stepper
    from bmtool.train.watching.monitor import Monitor

#: Lines of training losses in the log of a run, about.
LOG_LINES = 200

#: The machine's peak is measured, in a quarter of a second, once a run has taken so long.
PEAK_AFTER_SECONDS = 30.0

#: Work worth saving when training ends, before the final model is written.
UNSAVED_SECONDS = 60.0


@dataclass
class Trainer:
    """A run while it goes on: log, validation, saving, the end."""

    stepper: Stepper
    selection: Selection | None
    job: Job
    choices: dict[str, str]
    checkpoints: Checkpoints
    monitor: Monitor
    domains: Mapping[str, Examples] = field(default_factory=dict)
    """Corpora whose metrics, by the last phase's goal, are wanted before and after."""
    keeps_optimizer: bool = False
    """Whether the optimizer's state is wanted at the end."""
    most_held: int | None = None
    """Bytes that the process may hold between steps; None: no matter (`bmtool.train.sizing.auto_batch.ceiling`)."""
    best_weights: dict[str, Tensor] | None = None
    best_on_disk: int | None = None
    saved_at: float = field(default_factory=time.monotonic)
    _peak: float | None = None

    @property
    def state(self) -> State:
        """Where the run is."""
        return self.stepper.state

    @property
    def training(self) -> Training:
        """The settings of the phase."""
        return self.stepper.phase.training

    @property
    def course(self) -> Course:
        """The batches and steps of the phase."""
        return self.stepper.course

    @property
    def num_steps(self) -> int:
        """Steps of all phases."""
        return sum(course.num_steps for course in self.stepper.courses)

    @property
    def is_finished(self) -> bool:
        """Whether no step is left, or validation says that it is enough."""
        return self.state.stopped_early or self.state.step >= self.num_steps

    @property
    def tokens_per_second(self) -> float:
        """Over all training steps, without validation and saving."""
        return self.state.tokens / self.state.seconds if self.state.seconds else 0.0

    def resume(self, saved: Saved) -> None:
        """Take over a saved state."""
        self.stepper.load(saved.tensors(MODEL), saved.tensors(OPTIMIZER))
        if self.state.best is not None:
            self.best_weights = dict(self.stepper.weights.parts(saved.tensors(BEST)))
            self.best_on_disk = self.state.best["step"]
        self.job.console.say(f"resumed from step {self.state.step:,} of {self.num_steps:,}")

    def begin(self, optimizer_state: Mapping[str, Tensor]) -> None:
        """Before the first step: take over an earlier run's optimizer, and measure what is watched."""
        if self.state.step:
            return
        weights = self.stepper.weights
        self.stepper.optimizer.load_state(weights.masters, weights.parts(optimizer_state))
        if not self.state.domains:
            self.state.domains = self._watch()

    def enter_phase(self) -> None:
        """When a phase is done, go on to the next one, with a plan of its own and a loss of another kind."""
        state = self.state
        if state.phase_step < self.course.num_steps:
            return
        state.phase, state.phase_step = state.phase + 1, 0
        state.epoch = state.batch = 0
        state.ended_epoch, state.first_loss, state.recent_losses = False, None, []
        state.spikes, state.odd, state.odd_loss = [], [], 0.0
        self.job.console.say(f"phase {state.phase + 1} of {len(self.stepper.phases)}: {self.course.description}")

    def log(self, step: Step) -> None:
        """Add the losses up, and write a line about every so many steps."""
        state = self.state
        if math.isfinite(step.loss):
            for term, value in step.losses.items():
                state.losses[term] = state.losses.get(term, 0.0) + value
            state.losses_steps += 1
        if state.step % max(1, self.num_steps // LOG_LINES) and state.phase_step != self.course.num_steps:
            return
        means = {term: total / state.losses_steps for term, total in state.losses.items()}
        values = {
            **self._place(),
            "loss": sum(means.values()) if means else math.nan,
            "learning_rate": step.learning_rate,
            "grad_norm": step.grad_norm,
            "tokens_per_second": round(self.tokens_per_second),
            **self._speed(),
        }
        self.monitor.write("train", values | ({"terms": means} if len(means) > 1 else {}))
        state.losses, state.losses_steps = {}, 0

    @property
    def flop_utilisation(self) -> float | None:
        """Which share of the machine's best speed the steps reached; None for a run too short to measure it.

        And for one without any arithmetic to speak of, such as that of a head on features that are kept.
        """
        if self.state.seconds < PEAK_AFTER_SECONDS or not self.state.operations or not self.stepper.world.is_first:
            return None
        if self._peak is None:
            self._peak = matmul_peak(self.stepper.device, self.stepper.weights.dtype, self.job.cache)
        return self.state.operations / self.state.seconds / self._peak / self.stepper.world.size

    def _speed(self) -> dict[str, float | None]:
        state = self.state
        share = self.flop_utilisation
        return {
            "flop_utilisation": None if share is None else round(share, 4),
            "recompiles": state.recompiles,
            "loader_share": round(state.loading_seconds / max(state.seconds, 1e-9), 5),
            "rss_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        }

    def validate_if_due(self) -> None:
        """Validate where it is time to; keep the best weights; decide whether to stop early."""
        state, phase = self.state, self.stepper.phase
        if not phase.is_measured or not validation_is_due(state, self.training, self.course.num_steps):
            return
        metrics = self._measure(phase, phase.validation)
        state.evaluated_step, state.metrics = state.step, metrics
        self.monitor.write("validation", {**self._place(), "metrics": metrics})
        shown = ", ".join(f"{name} {'-' if value is None else f'{value:.4g}'}" for name, value in metrics.items())
        self.job.console.say(f"step {state.step:,}: validation {shown}")
        if self.selection is not None and self.selection.judge(state, metrics):
            self.best_weights = self.stepper.weights.snapshot()
        if self.selection is not None and state.stopped_early:
            waited = f"{self.selection.patience} validations"
            self.job.console.say(f"step {state.step:,}: stopped, {self.selection.metric} isn't better after {waited}")

    def _measure(self, phase: Phase, examples: Examples | None) -> dict[str, float | None]:
        """Metrics of the weights as they are, as the first process says."""
        metrics: dict[str, float | None] | None = {}
        if self.stepper.weights.measures and examples is not None:
            metrics = scores_of(self.stepper, phase, examples, self.job.stop)
        told: dict[str, float | None] | None = self.stepper.world.told(metrics)
        if told is None:
            self.stop_if_asked()  # the saved state says that this is still due
            raise AssertionError("validation was given up, and nobody had asked to stop")
        return told

    def _watch(self) -> dict[str, dict[str, float | None]]:
        """Metrics of each corpus that is watched."""
        return {name: self._measure(self.stepper.phases[-1], examples) for name, examples in self.domains.items()}

    def _place(self) -> dict[str, Any]:
        state = self.state
        epoch = state.epoch + state.batch / self.course.num_batches(state.epoch)
        place = {"step": state.step, "epoch": round(epoch, 4), "tokens": state.tokens}
        return place | ({"phase": state.phase + 1} if len(self.stepper.phases) > 1 else {})

    def give_back_memory(self) -> None:
        """Where gaps between blocks take what the next step may need, give them back."""
        if self.most_held is not None:
            trim_above(self.most_held)

    def save_if_due(self) -> None:
        """Save where `save_every` says so, by the first process's clock; report a save that failed."""
        self.checkpoints.check()
        every = self.stepper.phases[0].training.save_every
        by_steps = every.steps is not None and self.state.step % every.steps == 0
        if by_steps or (every.seconds is not None and self._is_older_than(every.seconds)):
            self.save()

    def _is_older_than(self, seconds: float) -> bool:
        """Whether the last save is so long ago."""
        return self.stepper.world.decided(time.monotonic() - self.saved_at >= seconds)

    def save(self) -> None:
        """Copy the state; the first process writes it while training goes on."""
        self.saved_at = time.monotonic()
        self.monitor.sync()
        weights, best, best_weights = self.stepper.weights, self.state.best, self.best_weights
        files = {MODEL: weights.joined(weights.snapshot), OPTIMIZER: self._optimizer_state()}
        if best is not None and best_weights is not None and best["step"] != self.best_on_disk:
            files[BEST] = weights.joined(lambda: best_weights)
            self.best_on_disk = best["step"]
        self.checkpoints.save(self.state.to_json(), files)

    def _optimizer_state(self) -> dict[str, Tensor]:
        """A whole copy in the first process."""
        weights, optimizer = self.stepper.weights, self.stepper.optimizer
        return weights.joined(lambda: optimizer.state_tensors(weights.masters))

    def save_what_is_left(self) -> None:
        """When another process is gone in the middle of a step: save what was behind the one before, if it is here."""
        if self.stepper.weights.are_whole and self.checkpoints.last_step != self.state.step:
            self.save()
            self.checkpoints.finish()

    def stop_if_asked(self) -> None:
        """After a signal to any process, or when time is over: save, and end with the error that says so."""
        world = self.stepper.world
        if not world.total([bool(self.job.stop.reason)])[0]:
            return
        reason = self.job.stop.reason or "a signal to one of its processes"  # or by now to this one as well
        if self.checkpoints.last_step != self.state.step:
            self.save()
        self.checkpoints.finish()
        world.told(None)  # a process that ends may be the end of the others: not before the state is on the disk
        raise stopped(reason, f"step {self.state.step:,} of {self.num_steps:,} is saved")

    def finish(self, start: Start) -> Fitted:
        """Put the chosen weights into the model."""
        if start.share or self._is_older_than(UNSAVED_SECONDS):
            self.save()  # nothing goes on from averaged weights
        self.checkpoints.finish()
        state, weights, best = self.state, self.stepper.weights, self.state.best
        metrics = state.metrics if best is None else best["metrics"]
        if self.best_weights is not None:
            weights.load(self.best_weights)
        if start.share:
            average_with(start, weights)
            metrics = self._measure(self.stepper.phases[-1], self.stepper.phases[-1].validation)
        after = self._watch()
        optimizer_state = self._optimizer_state() if self.keeps_optimizer else {}
        weights.give_back().train(mode=False)
        return Fitted(
            steps=state.step,
            tokens=state.tokens,
            epochs=self._place()["epoch"],
            metrics=metrics,
            best=None if best is None else {key: best[key] for key in ("step", "metric", "value")},
            stopped_early=state.stopped_early,
            skipped_steps=state.skipped_steps,
            recompiles=state.recompiles,
            rollbacks=state.rollbacks,
            choices=self.choices,
            domains={name: {"before": state.domains.get(name, {}), "after": after[name]} for name in after},
            tokens_per_second=self.tokens_per_second,
            flop_utilisation=self.flop_utilisation,
            seconds=state.seconds,
            optimizer_state=optimizer_state,
        )
