"""Teach a pre-trained model a task from labelled rows, and keep the checkpoint that is best on validation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    field_validator,
    model_validator,
)

from bmtool.config.model import HOW, explained
from bmtool.config.references import ModelRef, Ref, Reference
from bmtool.config.shared import Training
from bmtool.config.units import AutoCount, ratio
from bmtool.contracts import GateResult, Need, OneArchitecture, OneMethod
from bmtool.errors import ConfigError, did_you_mean
from bmtool.methods.supervised import Supervised
from bmtool.registry import METRICS

if TYPE_CHECKING:
    from pathlib import Path

    from bmtool.contracts import Job, Task
    from bmtool.runner.pipeline import Pipeline
    from bmtool.train.estimate import Outline
    from bmtool.train.finetuning import Lesson
    from bmtool.train.loop import Fitted
    from bmtool.train.selection import Selection

VERSION = 1
VERSION_COUNTS = False
KIND = "checkpoint"


class Config(Training):
    """Fine-tune on a labelled dataset: on top of a checkpoint, or with `model:` from scratch."""

    exclusive = (*Training.exclusive, ("from", "model"))

    data: Annotated[Ref, HOW]
    """The labelled dataset: a name under `prepare:`, or a path with a slash."""
    from_: Annotated[ModelRef | None, HOW] = Field(default=None, alias="from")
    """What to start from: `pretrain` (the default), a checkpoint folder, with a slash, or hf:org/name@revision."""
    model: OneArchitecture | None = None
    """An architecture, to start from new weights instead."""
    tokenizer: Annotated[Ref | None, HOW] = None
    """With `model`: the corpus whose tokenizer is used; by default that of the pretrain section."""
    per_device_batch_tokens: AutoCount = 2048
    """16 texts of full length: labelled data is small, and many small steps learn more from it than few large ones."""
    learning_rate: PositiveFloat = 1e-4
    """Between what suits a base-size model (5e-5) and a tiny one (5e-4)."""
    head_learning_rate: PositiveFloat | None = None
    """Another learning rate for the new head, whose weights start from nothing."""
    layerwise_lr_decay: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Each layer's learning rate is that of the layer above it times this: lower layers know more that is general."""
    frozen_layers: NonNegativeInt | None = None
    """Embeddings and so many layers above them stay as they are; with 0 the embeddings alone."""
    label_smoothing: Annotated[float, BeforeValidator(ratio), Field(ge=0, lt=1)] = 0.0
    """This share of each label is given to all labels alike while training, so that the model is less sure."""
    class_weights: Literal["balanced"] | dict[str, PositiveFloat] | None = None
    """Weights of labels in the training loss: by name (others have 1), or `balanced`, by how rare they are."""
    method: OneMethod = Supervised()
    """How the task is learned: `supervised` is from the labelled rows alone, with all weights."""
    metric_for_best_model: str | None = None
    """Which checkpoint is kept: the best by this metric on validation; by default the task's first metric."""
    early_stopping_patience: PositiveInt | None = None
    """Stop after so many validations without a better one."""
    seeds: PositiveInt = 1
    """How many models are trained: with `seed`, the next one, and so on. `evaluate` gives mean and spread of all. What
    is kept under the name `finetune` is the first, not the best: that would be luck."""

    @field_validator("metric_for_best_model")
    @classmethod
    def _known_metric(cls, name: str | None) -> str | None:
        if name is not None and name not in METRICS.names():
            known = ", ".join(METRICS.names())
            raise explained(f"unknown metric '{name}'.{did_you_mean(name, METRICS.names())} Known: {known}")
        return name

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

    def per_seed(self) -> dict[int, Config]:
        """What is trained, by seed: with several, this same section with each of them."""
        first = self.seed or 0
        return {seed: self.model_copy(update={"seed": seed, "seeds": 1}) for seed in range(first, first + self.seeds)}

    @property
    def needs_validation(self) -> str:
        """The setting that asks for a validation split; empty without one."""
        if self.early_stopping_patience is not None:
            return "early_stopping_patience"
        return "metric_for_best_model" if self.metric_for_best_model is not None else ""

    def no_validation(self, dataset: str) -> str:
        """What to do about a dataset without the validation split that a setting needs."""
        return (
            f"finetune.{self.needs_validation} needs a validation split, and '{dataset}' has none. "
            f"Set prepare.{dataset}.split.validation, such as 0.1 (the test split is opened by evaluate only)"
        )

    def unfit_weighing(self, task: Task) -> str:
        """The setting that weighs labels in the loss where the task has none; empty if all is well."""
        if self.class_weights is not None and not task.has_labels:
            return "class_weights"
        return "label_smoothing" if self.label_smoothing and not task.can_smooth else ""


def needs(config: Config, pipeline: Pipeline) -> dict[str, Need]:
    """The dataset, and the checkpoint to start from or the corpus whose tokenizer is used; or a model for each seed."""
    _check_dataset(config, pipeline)
    if config.seeds > 1:
        sections = config.per_seed()
        return {f"seed:{seed}": Need("checkpoint", made=("finetune", section)) for seed, section in sections.items()}
    inputs = {"data": Need("dataset", config.data), **config.method.needs(pipeline)}
    if config.model is None:
        start = config.from_ or config.method.start or Reference(form="name", value="pretrain")
        return inputs | {"from": Need("checkpoint", start)}
    tokenizer = config.tokenizer or getattr(pipeline.pretrain, "data", None)
    if tokenizer is None:
        raise ConfigError(
            f"{pipeline.file}: finetune.tokenizer: a model from scratch needs the tokenizer of a corpus, and there "
            f"is no pretrain section to take it from. Give the corpus's name"
        )
    return inputs | {"tokenizer": Need("dataset", tokenizer)}


def raw(config: Config) -> list[tuple[str, Path]]:
    """No raw files: all inputs are artifacts."""
    del config
    return []


def run(config: Config, job: Job) -> dict[str, Any]:
    """Encode the rows, open or build the model, train it, keep the best, save it."""
    from bmtool.models.checkpoint import save_checkpoint
    from bmtool.report.card import write_checkpoint_card
    from bmtool.train.finetuning import open_lesson, open_model_for, weighing_of
    from bmtool.train.layers import freeze, parameter_rates
    from bmtool.train.loop import fit

    if config.seeds > 1:
        return _first_of(config, job)
    lesson = open_lesson(config, job)
    _say_cut(config, job, lesson)
    _check_method(config, lesson.task)
    model = config.method.shaped(open_model_for(lesson, config, job), job)
    if config.frozen_layers is not None:
        count = freeze(model, config.frozen_layers)
        job.console.say(f"{count:,} weights are frozen: embeddings and {config.frozen_layers} layers")
    task = lesson.task.weighed(weighing_of(lesson, config)).watched(config.metric_for_best_model)
    fitted = fit(
        model,
        config.method.phases(lesson.phase(config, task), model, job),
        job=job,
        selection=_selection(config, task) if lesson.validation is not None else None,
        rates=parameter_rates(
            model,
            config.learning_rate,
            decay=config.layerwise_lr_decay,
            of_head=config.head_learning_rate,
        ),
    )
    plain = config.method.finished(model)
    save_checkpoint(job.folder, plain, lesson.tokenizer_folder, _info(config, job, lesson, fitted.best))
    task.furnish(job.folder, config.max_seq_length)
    summary = _summary(lesson, fitted)
    write_checkpoint_card(job.folder, job, config.model_dump(mode="json", by_alias=True), summary)
    return summary


def _say_cut(config: Config, job: Job, lesson: Lesson) -> None:
    from bmtool.report.tables import counted

    for name, examples in lesson.parts.items():
        cut = ", ".join(counted(examples.cut))
        if cut:
            job.console.say(f"{name}: {cut} at max_seq_length {config.max_seq_length}")


def _first_of(config: Config, job: Job) -> dict[str, Any]:
    """The first seed's checkpoint once more, under this name, and what all of them reached on validation."""
    from bmtool.artifacts.files import link_or_copy
    from bmtool.train.world import PartDoneError, World

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
    """The model without weights, and the rows that it would be trained on."""
    from bmtool.train.estimate import Outline
    from bmtool.train.finetuning import bare_model_for, open_lesson
    from bmtool.train.layers import freeze

    lesson = open_lesson(config, job)
    _check_method(config, lesson.task)
    model = config.method.shaped(bare_model_for(lesson, config, job), job)
    if config.frozen_layers is not None:
        freeze(model, config.frozen_layers)
    return Outline(model, [lesson.phase(config, lesson.task)], keeps_best=lesson.validation is not None)


def gates(config: Config, summary: dict[str, Any]) -> list[GateResult]:
    """None: `evaluate` has them."""
    del config, summary
    return []


def describe(summary: dict[str, Any]) -> list[str]:
    """The best step and its scores, or the last one; and how far seeds differ."""
    lines = _described(summary)
    if "seeds" in summary:
        metric = (summary["best"] or {}).get("metric")
        values = [one[metric] for one in summary["seeds"].values() if one.get(metric) is not None]
        shown = f"; {metric} on validation {min(values):.3f} to {max(values):.3f}" if values else ""
        lines.append(f"the first of {len(summary['seeds'])} seeds{shown}")
    return lines


def _described(summary: dict[str, Any]) -> list[str]:
    best, steps = summary["best"], summary["steps"]
    if not summary["validation"]:
        return [f"the last of {steps:,} steps is kept: there is no validation split to choose by"]
    order = sorted(summary["validation"], key=lambda name: name != (best or {}).get("metric"))
    values = {name: summary["validation"][name] for name in order}
    scores = ", ".join(f"{name} {value:.3f}" for name, value in values.items() if value is not None)
    early = ", stopped early" if summary["stopped_early"] else ""
    kept = f"step {best['step']:,} of {steps:,}{early}, the best by {best['metric']}" if best else f"step {steps:,}"
    return [f"kept {kept}; on validation: {scores}"]


def _summary(lesson: Lesson, fitted: Fitted) -> dict[str, Any]:
    return {
        "task": lesson.task.name(),
        "labels": list(lesson.dataset.labels),
        "rows": {name: lesson.dataset[name].num_rows for name in lesson.parts},
        "tokens_per_epoch": int(lesson.train.packed_lengths.sum()),
        "cut": {name: dict(examples.cut) for name, examples in lesson.parts.items()},
        "steps": fitted.steps,
        "epochs": fitted.epochs,
        "tokens": fitted.tokens,
        "stopped_early": fitted.stopped_early,
        "skipped_steps": fitted.skipped_steps,
        "rollbacks": fitted.rollbacks,
        "best": fitted.best,
        "validation": fitted.metrics,
        "tokens_per_second": round(fitted.tokens_per_second),
        "flop_utilisation": fitted.flop_utilisation,
        "environment": {"choices": fitted.choices},
    }


def _selection(config: Config, task: Task) -> Selection:
    from bmtool.data.scores import higher_is_better
    from bmtool.train.selection import Selection

    metric = config.metric_for_best_model or task.metrics[0]
    if metric not in task.metrics:
        raise ConfigError(f"finetune.metric_for_best_model: {_unmeasured(metric, task)}")
    return Selection(metric, higher_is_better(metric), config.early_stopping_patience)


def _info(config: Config, job: Job, lesson: Lesson, best: dict[str, Any] | None) -> dict[str, Any]:
    """What `bmtool.json` says: all that is needed to use the model, and how its training rows were prepared."""
    manifest = job.inputs["data"].manifest
    prepared = manifest.config if manifest else {}
    return {
        "goal_kind": "task",
        "goal": lesson.task.model_dump(mode="json", exclude={"labels"}),
        "labels": list(lesson.dataset.labels),
        "max_seq_length": config.max_seq_length,
        "data_fingerprint": job.inputs["data"].fingerprint,
        "metric": best["metric"] if best else None,
        "best": best,
        "columns": prepared.get("columns") or {},
        "clean": prepared.get("clean") or [],
    }


def _check_dataset(config: Config, pipeline: Pipeline) -> None:
    """What can be known about the dataset from the same file, before anything is made."""
    prepared = pipeline.prepare.get(config.data.value) if config.data.form == "name" else None
    if prepared is None or prepared.task is None:  # a corpus is refused by the checks between sections
        return
    task = prepared.task
    metric = config.metric_for_best_model
    if metric is not None and metric not in task.metrics:
        raise ConfigError(f"{pipeline.file}: finetune.metric_for_best_model: {_unmeasured(metric, task)}")
    unfit = config.unfit_weighing(task)
    if unfit:
        raise ConfigError(f"{pipeline.file}: finetune.{unfit}: {task.name()} has no labels to weigh")
    _check_method(config, task, f"{pipeline.file}: ")
    if config.needs_validation and not prepared.split.validation:
        raise ConfigError(f"{pipeline.file}: {config.no_validation(config.data.value)}")


def _check_method(config: Config, task: Task, where: str = "") -> None:
    unfit = config.method.unfit(task)
    if unfit:
        raise ConfigError(f"{where}finetune.method: {config.method.name()} {unfit}")


def _unmeasured(metric: str, task: Task) -> str:
    return f"{task.name()} isn't measured by {metric}; it is by {', '.join(task.metrics)}"
