"""The training loop of pretrain and finetune. It knows no task: what is trained is a Goal."""

from __future__ import annotations

import os
from contextlib import closing
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from bmtool.artifacts.manifest import RESUME
from bmtool.errors import ConfigError
from bmtool.models.families.family import family_of
from bmtool.models.families.packed import drop_attention_dropout, padding_note, require_packed
from bmtool.models.families.positions import longest_document, too_long
from bmtool.models.kernels.dropout import dropout_by_bits
from bmtool.models.kernels.products import pick_library
from bmtool.train.loading import Loader
from bmtool.train.machine.cards import look_at, wait_for_card
from bmtool.train.machine.device import busy_warning, other_running, set_up
from bmtool.train.machine.precision import pick_precision, short_name
from bmtool.train.machine.world import PartDoneError, ProcessGoneError, World
from bmtool.train.optim import MUON_TOKENS, new_optimizer
from bmtool.train.sizing.auto_batch import USEFUL_TOKENS, ceiling, settle, tried
from bmtool.train.sizing.out_of_memory import is_out_of_memory, out_of_memory
from bmtool.train.states.checkpoints import Checkpoints, check_space, storage_errors
from bmtool.train.states.recovery import recover_if_broken
from bmtool.train.states.state import State
from bmtool.train.steps import Stepper
from bmtool.train.trainer import Trainer
from bmtool.train.watching.monitor import METRICS_LOG, Monitor
from bmtool.train.watching.reporting import Reporting
from bmtool.train.weights.compiling import Compiling
from bmtool.train.weights.sharing import pick_sharing, take_over

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from bmtool.config.shared import Training
    from bmtool.contracts import Examples, Job
    from bmtool.train.course import Course
    from bmtool.train.fitted import Fitted
    from bmtool.train.phases import Phase
    from bmtool.train.selection import Selection
    from bmtool.train.states.recovery import Start
    from bmtool.train.steps import Step
    from bmtool.train.weights.base import Weights


def fit(
    model: Any,
    phases: Sequence[Phase],
    *,
    job: Job,
    start: Start,
    selection: Selection | None = None,
    rates: Mapping[str, float] | None = None,
    domains: Mapping[str, Examples] | None = None,
    keeps_optimizer: bool = False,
    choices: Mapping[str, str] | None = None,
) -> Fitted:
    """Train `model` in place, phase after phase, and return what was done; the log is `job.folder/metrics.jsonl`.

    Only the first process of a run returns: what its caller does then, such as writing the model, is done once.

    Saved states in `job.folder/checkpoints` are gone on from; on a CPU with as many threads the result is the same, bit
    for bit, as without the interruption. A step sums gradients over a window of micro-batches and divides by the number
    of targets in the window, so that k micro-batches equal one batch, whichever of the run's processes did them.
    Validation runs every `training.eval_every`; without it after each epoch; and at the end of each phase.

    Args:
        model: a float32 transformers model with packed attention.
        phases: what is trained, on what, how long. Optimizer, precision and saving are those of the first one.
        job: folder, seed, machine, console, and who asks to stop.
        start: what `model` and its optimizer begin with, for a run that goes back there, all the way or in the end.
        selection: keep the best weights by a metric; None: the last.
        rates: learning rates by the names of parameters, where they differ from the first phase's.
        domains: examples by name whose metrics are taken before and after, by the goal of the last phase.
        keeps_optimizer: whether `Fitted.optimizer_state` is wanted.
        choices: what was chosen where the settings leave it open, by what it is, for the log and the manifest.

    Raises:
        TryAgainError, StoppedError: asked to stop; the state is saved. Or another process of the run is gone.
        DivergedError: three windows in a short time gave no usable gradient, and no earlier weights helped.
        StorageError: the disk is full or broken.
        PartDoneError: in every process but the first, when training is done.
        ConfigError: the model can't be packed, or is too short for `max_seq_length`; or a step's batches can't be
            shared out among the processes.
    """
    for reporter in phases[0].training.report_to:
        reporter.check()
    require_packed(model)
    _check_length(model, max(phase.training.max_seq_length for phase in phases))
    checkpoints = Checkpoints(job.folder / RESUME, job.console, writes=World.current().is_first)
    with storage_errors(str(job.folder)), closing(checkpoints), dropout_by_bits():
        trainer = _prepare(model, phases, job, selection, rates, checkpoints, choices or {})
        trainer.domains, trainer.keeps_optimizer = domains or {}, keeps_optimizer
        with closing(trainer.monitor), closing(trainer.stepper.loader):
            trainer.begin(start.optimizer_state)
            return _train(trainer, job, start)


def _train(trainer: Trainer, job: Job, start: Start) -> Fitted:
    """Step after step, until it is enough."""
    with job.console.progress("training", total=trainer.num_steps) as progress:
        progress.advance(trainer.state.step)
        while True:
            trainer.validate_if_due()
            if trainer.is_finished:
                fitted = trainer.finish(start)
                if not trainer.stepper.world.is_first:
                    raise PartDoneError
                return fitted
            trainer.stop_if_asked()
            trainer.enter_phase()
            step = _step(trainer)
            recover_if_broken(trainer.stepper, trainer.checkpoints, start, job.console)
            trainer.give_back_memory()
            trainer.log(step)
            trainer.save_if_due()
            progress.advance(1, **{"loss": f"{step.loss:.3f}", "tokens/s": f"{trainer.tokens_per_second:,.0f}"})


def _step(trainer: Trainer) -> Step:
    """One step.

    Raises:
        TryAgainError: there isn't enough memory for it; or another process is gone.
    """
    try:
        return trainer.stepper.step()
    except ProcessGoneError:
        trainer.save_what_is_left()  # masters move when all have been heard
        raise
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise out_of_memory(trainer.stepper, error) from error


def _prepare(
    model: Any,
    phases: Sequence[Phase],
    job: Job,
    selection: Selection | None,
    rates: Mapping[str, float] | None,
    checkpoints: Checkpoints,
    chosen: Mapping[str, str],
) -> Trainer:
    """Choose device, threads and precision, say why, put the parts together, and take over a saved state."""
    world = World.current()
    saved = checkpoints.newest(world)
    state = State() if saved is None else State.from_json(saved.state)
    _take_settings(state, phases, selection, chosen, is_saved=saved is not None)
    device, parts, choices = _choose(model, phases[0].training, job, state, world, chosen)
    dtype, _ = pick_precision(state.precision, device)
    for note in filter(None, (padding_note(model), drop_attention_dropout(model))):
        job.console.say(note)
    model.train()
    weights = take_over(model, dtype, device, world, parts=parts)
    keeps_best = selection is not None
    limit = partial(tried, weights, phases, device, job.seed, keeps_best=keeps_best)
    most_held = ceiling(weights, phases, device, keeps_best=keeps_best)
    phases = _settled(phases, state, limit, USEFUL_TOKENS[device.type], world, choices, job)
    _check_shares(phases, world)
    training, pads = phases[0].training, family_of(model).pads
    courses = [phase.course(job.seed, number, by_length=pads) for number, phase in enumerate(phases)]
    job.console.say(courses[state.phase].description)
    optimizer = new_optimizer(
        training.optim, weights.masters, learning_rate=training.rate, weight_decay=training.weight_decay, rates=rates
    )
    _say_muon(training, job)
    monitor = _monitor(training, job, state, world)
    helpers = Loader.of(device), _compiling(job, weights, device, courses, choices)
    stepper = Stepper(phases, courses, weights, optimizer, state, job.seed, device, job.console, world, *helpers)
    trainer = Trainer(stepper, selection, job, choices, checkpoints, monitor, most_held=most_held)
    if saved is not None:
        trainer.resume(saved)
    elif world.is_first:
        check_space(checkpoints.folder, weights.count, keeps_best=keeps_best)
    return trainer


def _compiling(
    job: Job, weights: Weights, device: torch.device, courses: Sequence[Course], choices: dict[str, str]
) -> Compiling:
    """The layers that torch compiles, if any; which and why is noted."""
    num_steps = sum(course.num_steps for course in courses)
    wanted, console = job.runtime.torch_compile, job.console
    compiling, choices["layers"] = Compiling.of(wanted, weights, device, num_steps=num_steps, console=console)
    return compiling


def _monitor(training: Training, job: Job, state: State, world: World) -> Monitor:
    """The log, as far as the state has come, and who hears of it; only the first process writes and tells."""
    reporting = Reporting.of(training.report_to if world.is_first else (), job)
    monitor = Monitor(job.folder / METRICS_LOG, is_silent=not world.is_first, reporting=reporting)
    monitor.rewind(state.step, is_validated=state.evaluated_step == state.step)
    return monitor


def _take_settings(
    state: State,
    phases: Sequence[Phase],
    selection: Selection | None,
    chosen: Mapping[str, str],
    *,
    is_saved: bool,
) -> None:
    """Note rates and batches in the state. One that began with other defaults, of the best metric too, doesn't go on.

    Raises:
        ConfigError: it did.
    """
    names = ("learning_rate", "per_device_batch_tokens")
    settings = {name: [getattr(phase.training, name) for phase in phases] for name in names}
    is_judged_otherwise = state.best is not None and selection is not None and state.best["metric"] != selection.metric
    if is_saved and chosen and (state.settings != settings or is_judged_otherwise):
        now = ", ".join(f"{what} {choice}" for what, choice in chosen.items())
        raise ConfigError(
            f"the saved state began in another version of bmtool, with other defaults; now they are {now}. "
            f"Begin again with --force"
        )
    state.settings = settings


def _settled(
    phases: Sequence[Phase],
    state: State,
    limit: Callable[[], tuple[int, str]],
    useful: int,
    world: World,
    choices: dict[str, str],
    job: Job,
) -> list[Phase]:
    """The phases with the size of their batches, which is noted where `auto` left it to the machine."""
    settled, note = settle(phases, state.batch_tokens, limit, useful=useful, processes=world.size)
    if note:
        state.batch_tokens = [phase.training.batch_tokens for phase in settled]
        choices["batches"] = note
        job.console.say(f"batches of a step: {note}")
    return settled


def _say_muon(training: Training, job: Job) -> None:
    tokens = training.batch_tokens * training.gradient_accumulation_steps
    if training.optim == "muon" and tokens < MUON_TOKENS:
        job.console.say(
            f"optim: muon with {tokens:,} tokens a step: it pays from about {MUON_TOKENS:,}; AdamW is cheaper here"
        )


def _check_shares(phases: Sequence[Phase], world: World) -> None:
    """Every process has as many of a step's batches as the others."""
    for phase in phases:
        window = phase.training.gradient_accumulation_steps
        if window % world.size:
            raise ConfigError(
                f"runtime.processes: {world.size} processes share the batches of a step, and "
                f"gradient_accumulation_steps is {window}. Make it a multiple of {world.size}"
            )


def _choose(
    model: Any, training: Training, job: Job, state: State, world: World, chosen: Mapping[str, str]
) -> tuple[torch.device, int, dict[str, str]]:
    """Device, precision (that of a saved state goes on), who shares the weights, and all choices with their reasons."""
    device, choices = set_up(job.runtime, world.local_rank, world.local_size)
    dtype, reason = pick_precision(state.precision or training.precision, device)
    if state.precision:
        reason = "as the saved state"
    state.precision = short_name(dtype)
    choices = {**chosen, "precision": f"{state.precision} ({reason})", **choices}
    if device.type == "cpu" and dtype == torch.float32:
        choices["products"] = "by {} ({})".format(*pick_library())
    if device.type == "cuda":
        wait_for_card(lambda: look_at(device), job.wait_seconds, job.console, job.stop)
    if world.size > 1:
        choices["processes"] = f"{world.size} (asked for)"
    parts, reason = pick_sharing(job.runtime.fsdp, model, training.optim, dtype, device, world)
    if world.size > 1 or job.runtime.fsdp == "always":
        choices["weights"] = reason
    job.console.say(", ".join(f"{name} {value}" for name, value in choices.items()))
    siblings = world.local_size - 1
    own = torch.get_num_threads() * world.local_size
    warning = busy_warning(own, max(0, other_running() - siblings), os.cpu_count() or 1)
    if warning:
        job.console.say(warning)
    return device, parts, choices


def _check_length(model: Any, max_seq_length: int) -> None:
    fault = too_long(max_seq_length, longest_document(model.config), "the model")
    if fault:
        raise ConfigError(f"max_seq_length {fault}")
