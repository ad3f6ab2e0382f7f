"""Teach a pre-trained model a task from labelled rows, and keep the checkpoint that is best on validation."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

from pydantic import Field, NonNegativeInt, PositiveFloat, PositiveInt, model_validator

from bmtool.artifacts.manifest import RESUME
from bmtool.config.model import HOW, NameOf, explained
from bmtool.config.references import ModelRef, Ref, Reference, Refs
from bmtool.config.shared import Training
from bmtool.config.units import AutoCount, Share
from bmtool.contracts import GateResult, Need, OneArchitecture, OneMethod
from bmtool.errors import ConfigError, did_you_mean
from bmtool.methods.multi_task import MultiTask
from bmtool.methods.supervised import Supervised
from bmtool.registry import METRICS
from bmtool.train.jobs.task_settings import check_file, unknown_metric

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bmtool.artifacts.manifest import Artifact
    from bmtool.contracts import Job, Planned
    from bmtool.runner.pipeline import Pipeline
    from bmtool.train.fitted import Fitted
    from bmtool.train.jobs.finetuning import Lesson
    from bmtool.train.jobs.several_tasks import Lessons
    from bmtool.train.jobs.sketch import Sketch
    from bmtool.train.sizing.estimate import Outline

VERSION = 7
VERSION_COUNTS = False
KIND = "checkpoint"


class Config(Training):
    """Fine-tune on a labelled dataset: on top of a checkpoint, or with `model:` from scratch."""

    exclusive = (*Training.exclusive, ("from", "model"))

    data: Annotated[Refs, HOW]
    """The labelled dataset: a name under `prepare:`, or a path with a slash. A list of them is as many tasks, with one
    encoder (method `multi_task`)."""
    from_: Annotated[ModelRef | None, HOW] = Field(default=None, alias="from")
    """What to start from: `pretrain` (the default), a checkpoint folder, with a slash, or hf:org/name@revision."""
    model: OneArchitecture | None = None
    """An architecture, to start from new weights instead."""
    tokenizer: Annotated[Ref | None, HOW] = None
    """With `model`: the corpus whose tokenizer is used; by default that of the pretrain section."""
    per_device_batch_tokens: AutoCount | None = None
    """By default what 32 training rows have in the mean (of `similarity` 128), from 512 to 2,048: labelled data is
    small, and many small steps learn more from it than few large ones."""
    learning_rate: PositiveFloat | None = None
    """By default 1e-4 * 768 / the model's width, 6e-4 for 128 (and narrower): the wider, the less a step may move each
    weight. `lora` takes ten times, `frozen` 8 times that; new weights (`model`) take no more."""
    head_learning_rate: PositiveFloat | None = None
    """Another learning rate for the new head, whose weights start from nothing."""
    layerwise_lr_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Each layer's learning rate is that of the layer above it times this: lower layers know more that is general."""
    frozen_layers: NonNegativeInt | None = None
    """Embeddings and so many layers above them stay as they are; with 0 the embeddings alone."""
    label_smoothing: Annotated[Share, Field(ge=0, lt=1)] = 0.0
    """This share of each label is given to all labels alike while training, so that the model is less sure."""
    class_weights: Literal["balanced"] | dict[str, PositiveFloat] | None = None
    """Weights of labels in the training loss: by name (others have 1), or `balanced`, by how rare they are."""
    method: OneMethod = Supervised()
    """How the task is learned: `supervised` is from the labelled rows alone, with all weights."""
    metric_for_best_model: Annotated[str, NameOf(METRICS, behind_a_task=True)] | None = None
    """Which checkpoint is kept: the best by this metric on validation; by default the task's first metric. Of several
    tasks `TASK.METRIC`; by default the mean over them of their first metric that is better when higher."""
    early_stopping_patience: PositiveInt | None = None
    """Stop after so many validations without a better one."""
    seeds: PositiveInt = 1
    """How many models are trained: with `seed`, the next one, and so on. `evaluate` gives mean and spread of all. What
    is kept under the name `finetune` is the first, not the best: that would be luck."""

    @model_validator(mode="after")
    def _one_start(self) -> Config:
        if self.model is not None and self.from_ is not None:
            raise explained("set one of from and model: start from a checkpoint, or from new weights", at="model")
        if self.model is None and self.tokenizer is not None:
            raise explained("has an effect only with model: a checkpoint brings its own tokenizer", at="tokenizer")
        return self

    @model_validator(mode="after")
    def _no_idle_settings(self) -> Config:
        for name in self.method.idle:
            if getattr(self, name) != type(self).model_fields[name].get_default(call_default_factory=True):
                raise explained(f"has no effect with method {self.method.name()}", at=name)
        return self

    @model_validator(mode="after")
    def _one_task_or_several(self) -> Config:
        if isinstance(self.data, Reference):
            if isinstance(self.method, MultiTask):
                raise explained("multi_task needs several datasets: make data a list of them", at="method")
            return self
        if not isinstance(self.method, MultiTask | Supervised):
            raise explained(f"{self.method.name()} learns one task, and data lists several. Leave it out", at="method")
        if RESUME in self.datasets:
            raise explained(f"no task can be called '{RESUME}': that is where unfinished work is kept", at="data")
        for name in self.method.weighed if isinstance(self.method, MultiTask) else ():
            if name not in self.datasets:
                hint = did_you_mean(name, self.datasets)
                raise explained(f"weights: there is no task '{name}'.{hint}", at="method")
        if isinstance(self.class_weights, dict):
            text = "labels by name are of one task, and data lists several. Take `balanced`"
            raise explained(text, at="class_weights")
        return self

    @model_validator(mode="after")
    def _known_metric(self) -> Config:
        fault = "" if self.metric_for_best_model is None else unknown_metric(self.metric_for_best_model, self.datasets)
        if fault:
            raise explained(fault, at="metric_for_best_model")
        return self

    @property
    def datasets(self) -> dict[str, Reference]:
        """What is learned from, by the name of the task; one alone needs no name."""
        if isinstance(self.data, Reference):
            return {"": self.data}
        return {reference.name: reference for reference in sorted(self.data, key=lambda one: one.name)}

    @property
    def start(self) -> Reference | None:
        """The checkpoint to start from; None: new weights."""
        start = self.from_ or self.method.start or Reference(form="name", value="pretrain")
        return start if self.model is None else None

    @property
    def together(self) -> MultiTask | None:
        """How several tasks are learned; None for one."""
        if isinstance(self.data, Reference):
            return None
        return self.method if isinstance(self.method, MultiTask) else MultiTask()

    def per_seed(self) -> dict[int, Config]:
        """What is trained, by seed: with several, this same section with each of them."""
        first = self.seed or 0
        return {seed: self.model_copy(update={"seed": seed, "seeds": 1}) for seed in range(first, first + self.seeds)}


def needs(config: Config, pipeline: Pipeline) -> dict[str, Need]:
    """Datasets, and the checkpoint to start from or the corpus whose tokenizer is used; or a model for each seed."""
    check_file(config, pipeline)
    if config.seeds > 1:
        sections = config.per_seed()
        return {f"seed:{seed}": Need("checkpoint", made=("finetune", section)) for seed, section in sections.items()}
    datasets = {
        f"data:{name}" if name else "data": Need("dataset", one, splits=_splits(one, pipeline))
        for name, one in config.datasets.items()
    }
    inputs = datasets | config.method.needs(pipeline, config)
    if config.start is not None:
        return inputs | {"from": Need("checkpoint", config.start)}
    tokenizer = config.tokenizer or getattr(pipeline.pretrain, "data", None)
    if tokenizer is None:
        raise ConfigError(
            f"{pipeline.file}: finetune.tokenizer: a model from scratch needs the tokenizer of a corpus, and there "
            f"is no pretrain section to take it from. Give the corpus's name"
        )
    return inputs | {"tokenizer": Need("dataset", tokenizer)}


def _splits(reference: Reference, pipeline: Pipeline) -> tuple[str, ...]:
    """What is learned from, and chosen by if there is one."""
    prepared = pipeline.prepare.get(reference.value) if reference.form == "name" else None
    has_validation = prepared is not None and "validation" in prepared.split.names()
    return ("train", "validation") if has_validation else ("train",)


def raw(config: Config) -> list[tuple[str, Path]]:
    """No raw files: all inputs are artifacts."""
    del config
    return []


def run(config: Config, job: Job) -> dict[str, Any]:
    """Encode the rows, open or build the model, train it, keep the best, save it."""
    from bmtool.report.card import write_checkpoint_card
    from bmtool.train.jobs.several_tasks import open_all
    from bmtool.train.judging.doubts import doubts
    from bmtool.train.loop import fit
    from bmtool.train.states.recovery import Start
    from bmtool.train.weights.layers import freeze, parameter_rates

    if config.seeds > 1:
        return _first_of(config, job)
    lesson, choices = open_all(config, job)
    config = lesson.config
    _say_cut(job, lesson)

    def built(job: Job) -> Any:
        plain: Any = lesson.model()
        return config.method.shaped(plain, job)

    model = built(job)
    if config.frozen_layers is not None:
        count = freeze(model, config.frozen_layers)
        job.console.say(f"{count:,} weights are frozen: embeddings and {config.frozen_layers} layers")
    rates = parameter_rates(model, config.rate, decay=config.layerwise_lr_decay, of_head=config.head_learning_rate)
    phases = config.method.phases(lesson.phase(), model, job)
    rates |= lesson.rates()
    start, selection = Start(built, job), lesson.selection()
    fitted = fit(model, phases, job=job, start=start, selection=selection, rates=rates, choices=choices)
    lesson.save(job.folder, config.method.finished(model), fitted.best)
    doubted = doubts(lesson.tasks, fitted.metrics)
    warnings = [f"{name}: {doubt}" if name else doubt for name, doubt in doubted.items()]
    for warning in warnings:
        job.console.warn(warning)
    counts = {name: one for phase in phases for name, one in phase.counts.items()}
    summary = _summary(lesson, fitted) | counts | {"warnings": warnings}
    settings = config.model_dump(mode="json", by_alias=True)
    for name, one in lesson.tasks.items():
        facts = summary | one.facts()
        write_checkpoint_card(job.folder / name, job, settings, facts, task=name, doubt=doubted.get(name))
    return summary


def _say_cut(job: Job, lesson: Lesson | Lessons) -> None:
    from bmtool.report.cut import cut_lines

    for name, one in lesson.tasks.items():
        for split, examples in one.parts.items():
            for line in cut_lines(one.task, examples, one.config.max_seq_length):
                job.console.say(f"{name} {split}: {line}".strip())


def _first_of(config: Config, job: Job) -> dict[str, Any]:
    """The first seed's checkpoint once more, under this name, and what all of them reached on validation."""
    from bmtool.artifacts.files import link_or_copy
    from bmtool.train.machine.world import PartDoneError, World

    if not World.current().is_first:
        raise PartDoneError
    made = {seed: job.inputs[f"seed:{seed}"] for seed in config.per_seed()}
    first = made[config.seed or 0]
    if first.manifest is None:
        raise AssertionError(f"{first.folder}: what was made on the way has a manifest")
    for name in first.manifest.files:
        target = job.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        link_or_copy(first.folder / name, target)
    return {**first.summary, "seeds": {str(seed): one.summary["validation"] for seed, one in made.items()}}


def outline(config: Config, job: Job) -> Outline:
    """The model without weights, what it would be trained on, and what would be read for that."""
    from bmtool.train.jobs.several_tasks import open_all
    from bmtool.train.sizing.estimate import Outline
    from bmtool.train.weights.layers import freeze

    lesson, choices = open_all(config, job)
    config = lesson.config
    plain: Any = lesson.bare_model()
    model = config.method.shaped(plain, job)
    if config.frozen_layers is not None:
        freeze(model, config.frozen_layers)
    phases, passes = config.method.foreseen(lesson.phase(), model, job)
    return Outline(model, phases, passes, keeps_best=lesson.selection() is not None, choices=choices)


def sketch(config: Config, inputs: Mapping[str, Planned | Artifact], job: Job) -> Sketch:
    """The same from settings alone, where not all that is read is made yet."""
    from bmtool.train.jobs.sketch import Sketch, of_finetuning, rows_are_there

    if rows_are_there(config, inputs):
        return Sketch(outline(config, replace(job, inputs=cast("Mapping[str, Artifact]", inputs))), is_counted=True)
    return of_finetuning(config, inputs, job)


def gates(config: Config, summary: dict[str, Any]) -> list[GateResult]:
    """None: `evaluate` has them."""
    del config, summary
    return []


def describe(summary: dict[str, Any]) -> list[str]:
    """The best step and its scores, or the last one; and how far seeds differ."""
    from bmtool.train.watching.described import finetuned_lines

    return finetuned_lines(summary)


def _summary(lesson: Lesson | Lessons, fitted: Fitted) -> dict[str, Any]:
    return {
        **lesson.facts(),
        "learning_rate": lesson.config.rate,
        "per_device_batch_tokens": lesson.config.per_device_batch_tokens,
        **fitted.facts(),
        "stopped_early": fitted.stopped_early,
        "best": fitted.best,
    }
