"""Whether the settings of fine-tuning fit the tasks: asked before anything is made, and again of opened datasets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from bmtool.config.aliases import meant_by
from bmtool.config.variables import expand
from bmtool.data.readers.json_line import object_on
from bmtool.errors import ConfigError, DataError, did_you_mean
from bmtool.registry import ARCHITECTURES, METRICS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from bmtool.config.references import Reference
    from bmtool.contracts import Task
    from bmtool.runner.pipeline import Pipeline
    from bmtool.stages.finetune import Config


def unknown_metric(wanted: str, tasks: Collection[str]) -> str:
    """Why the metric that the best weights are chosen by can't be one: empty, or what to write instead.

    `tasks` are the names of several, which goes before the metric; one alone is called "".
    """
    task, dot, metric = wanted.rpartition(".")
    if task not in tasks or (dot and not task):
        meant = [f"{name}.{metric}" if name else metric for name in tasks]
        return f"say {meant[0]}" if len(meant) == 1 else f"with several tasks, say which task's: {', '.join(meant)}"
    if metric in METRICS.names():
        return ""
    return f"unknown metric '{metric}'.{meant_by(metric, METRICS.names())} Known: {', '.join(METRICS.names())}"


def check_file(config: Config, pipeline: Pipeline) -> None:
    """What can be known about the datasets from the same file.

    Raises:
        ConfigError: a setting doesn't fit one of them, or none of them.
    """
    where = f"{pipeline.file}: "
    tasks: list[Task] = []
    for name, reference in config.datasets.items():
        prepared = pipeline.prepare.get(reference.value) if reference.form == "name" else None
        if prepared is None or prepared.task is None:  # a corpus is refused by the checks between sections
            continue
        tasks.append(prepared.task)
        check_method(config, prepared.task, where)
        check_layout(config, prepared.task, pipeline)
        by, _, metric = (config.metric_for_best_model or "").rpartition(".")
        if metric and by == name:
            check_metric(prepared.task, metric, where)
        check_validation(config, reference.value, has_validation=bool(prepared.split.validation), where=where)
    if len(tasks) == len(config.datasets):
        check_weighing(config, tasks, where)


def check_method(config: Config, task: Task, where: str = "") -> None:
    """Raise ConfigError if the method can't learn the task."""
    unfit = config.method.unfit(task)
    if unfit:
        raise ConfigError(f"{where}finetune.method: {config.method.name()} {unfit}")


def check_layout(config: Config, task: Task, pipeline: Pipeline) -> None:
    """Raise ConfigError if the model is known that is built or started from, and such a one can't learn the task."""
    start = config.from_ or config.method.start
    is_own = config.model is None and pipeline.pretrain is not None and (start is None or str(start) == "pretrain")
    model = pipeline.pretrain.model if is_own else config.model
    if model is None:
        _check_start(start, task, pipeline)
        return
    where = f"{pipeline.file}: {'pretrain' if is_own else 'finetune'}.model: '{model.name()}' ({model.layout}) can't"
    if model.layout not in task.layouts:
        known = [name for name in ARCHITECTURES.names() if ARCHITECTURES.load(name).layout in task.layouts]
        raise ConfigError(
            f"{where} learn {task.name()} from {', '.join(task.columns)}. Those that can: {', '.join(known)}"
        )


def _check_start(start: Reference | None, task: Task, pipeline: Pipeline) -> None:
    """Refuse a folder on this disk that has an encoder and a decoder, where the task wants one of them alone."""
    if start is None or start.form != "path" or "encoder-decoder" in task.layouts:
        return
    found = model_config(start)
    if isinstance(found, str):
        raise DataError(found)
    if found.get("is_encoder_decoder"):
        wanted = " or ".join(f"a{'n' * (layout == 'encoder')} {layout}" for layout in task.layouts)
        raise ConfigError(
            f"{pipeline.file}: finetune.from: {start} is a '{found.get('model_type')}' (encoder-decoder), which can't "
            f"learn {task.name()} from {', '.join(task.columns)}. Start from {wanted}"
        )


def model_config(start: Reference) -> dict[str, Any] | str:
    """What the configuration of a checkpoint's folder says, {} if there is none; or why it can't be read."""
    file = Path(expand(start.value)) / "config.json"
    found = object_on(file.read_bytes()) if file.is_file() else {}
    return f"{file}: {found}" if isinstance(found, str) else found


def check_metric(task: Task, metric: str, where: str = "") -> None:
    """Raise ConfigError if the task isn't measured by the metric that the best weights are chosen by."""
    if metric not in task.metrics:
        measured = ", ".join(task.metrics)
        text = f"finetune.metric_for_best_model: {task.name()} isn't measured by {metric}; it is by {measured}"
        raise ConfigError(where + text)


def check_validation(config: Config, dataset: str, *, has_validation: bool, where: str = "") -> None:
    """Raise ConfigError if a setting chooses by a split that the dataset doesn't have; with several, each needs one."""
    wish = "early_stopping_patience" if config.early_stopping_patience is not None else ""
    wish = wish or ("metric_for_best_model" if config.metric_for_best_model is not None else "")
    if wish and not has_validation:
        raise ConfigError(
            f"{where}finetune.{wish} needs a validation split, and '{dataset}' has none. "
            f"Set prepare.{dataset}.split.validation, such as 0.1 (the test split is opened by evaluate only)"
        )


def check_weighing(config: Config, tasks: Iterable[Task], where: str = "") -> None:
    """Raise ConfigError if labels are weighed, and none of the tasks has any."""
    tasks = list(tasks)
    idle = ""
    for task in tasks if isinstance(config.class_weights, dict) else ():
        if task.labels is not None:
            check_labels(config, task.labels, where)
    if config.label_smoothing and not any(task.can_smooth for task in tasks):
        idle = "label_smoothing"
    if config.class_weights is not None and not any(task.has_labels for task in tasks):
        idle = "class_weights"
    if idle:
        names = " and ".join(task.name() for task in tasks)
        raise ConfigError(f"{where}finetune.{idle}: {names} has no labels to weigh")


def check_labels(config: Config, labels: Sequence[str], where: str = "") -> None:
    """Raise ConfigError if a weight is for a label that isn't there."""
    for label in config.class_weights if isinstance(config.class_weights, dict) else ():
        if label not in labels:
            hint = did_you_mean(label, labels) or f" There: {', '.join(labels)}"
            raise ConfigError(f"{where}finetune.class_weights: there is no label '{label}'.{hint}")
