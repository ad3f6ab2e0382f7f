"""Write a fine-tuned checkpoint in other formats, each proven equal to it on real rows before it is committed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, PositiveInt

from bmtool.config.model import HOW, Settings
from bmtool.config.references import ModelRef, Reference, Refs, listed
from bmtool.contracts import GateResult, Need, OneExporter
from bmtool.errors import ConfigError, DataError

if TYPE_CHECKING:
    from pathlib import Path

    from bmtool.artifacts.manifest import Artifact
    from bmtool.contracts import Job
    from bmtool.runner.pipeline import Pipeline

VERSION = 2
VERSION_COUNTS = True
KIND = "bundle"


class Config(Settings):
    """What to write, and which rows to compare on."""

    from_: Annotated[ModelRef, HOW] = Field(default=Reference(form="name", value="finetune"), alias="from")
    data: Annotated[Refs | None, HOW] = None
    """The dataset whose rows are compared; without it, what the checkpoint was trained on. Of several tasks those in
    this list are exported, each into a folder of its name."""
    formats: Annotated[tuple[OneExporter, ...], Field(min_length=1)]
    split: Literal["train", "validation", "test"] = "test"
    max_rows: PositiveInt = 500
    """The first so many rows of the split are compared."""


def needs(config: Config, pipeline: Pipeline) -> dict[str, Need]:
    """A checkpoint, and a dataset with rows of its task."""
    data = config.data or getattr(pipeline.finetune, "data", None)
    if data is None:
        raise ConfigError(
            f"{pipeline.file}: 'export.data' is missing. Exported models are compared on real rows, and without a "
            f"section 'finetune' here nothing says which: name a dataset, or give its folder"
        )
    is_ours = config.from_ == Reference(form="name", value="finetune")
    several = isinstance(data, tuple) or (is_ours and isinstance(getattr(pipeline.finetune, "data", None), tuple))
    datasets = {
        f"data:{one.name}" if several else "data": Need("dataset", one, splits=(config.split,), asked_by=("split",))
        for one in listed(data)
    }
    return {"from": Need("checkpoint", reference=config.from_), **datasets}


def raw(config: Config) -> list[tuple[str, Path]]:
    """Nothing but artifacts is read."""
    del config
    return []


def run(config: Config, job: Job) -> dict[str, Any]:
    """Write each format with what it needs, compare, and write the model card; of several tasks in a folder each."""
    from bmtool.artifacts.files import write_json
    from bmtool.models.files.task_folders import INFO, TASKS_KEY, task_folder

    checkpoint = job.inputs["from"]
    names = sorted(role.partition(":")[2] for role in job.inputs if role.startswith("data"))
    compared: dict[str, Any] = {}
    for name in names:
        (job.folder / name).mkdir(exist_ok=True)
        own = replace(checkpoint, folder=task_folder(checkpoint.folder, name))
        numbers = _export(config, job, own, name)
        compared |= {f"{name} {format_}".strip(): one for format_, one in numbers.items()}
    if names != [""]:
        write_json(job.folder / INFO, {"goal_kind": "tasks", TASKS_KEY: names})
    return {"formats": compared, "split": config.split, "checkpoint": checkpoint.fingerprint}


def _export(config: Config, job: Job, checkpoint: Artifact, name: str) -> dict[str, Any]:
    """How each format of one task's checkpoint compares with it."""
    from bmtool.data.dataset import open_dataset
    from bmtool.models.files.inference import Rows
    from bmtool.report.card import write_bundle_card

    dataset = job.inputs[f"data:{name}" if name else "data"].folder
    split = open_dataset(dataset)[config.split]
    if not split.num_rows:
        raise DataError(f"{dataset}: the {config.split} split has no rows to compare on. Raise its share under 'split'")
    rows, compared = Rows.first(split, config.max_rows), {}
    for exporter in config.formats:
        job.console.say(f"writing {name} {exporter.name()}".replace("  ", " "))
        compared[exporter.name()] = exporter.export(checkpoint, rows, job.folder / name, job)
    write_bundle_card(job.folder / name, checkpoint, compared, split=config.split)
    return compared


def gates(config: Config, summary: dict[str, Any]) -> list[GateResult]:
    """Each format is the checkpoint, as far as it was compared."""
    del config
    return [
        GateResult(name, _is_equal(numbers), f"{name}: {_told(numbers)}", is_about_quality=False)
        for name, numbers in summary["formats"].items()
    ]


def describe(summary: dict[str, Any]) -> list[str]:
    """How each format compares with the checkpoint."""
    return [f"{name}: {_told(numbers)}" for name, numbers in summary["formats"].items()]


def _is_equal(numbers: dict[str, Any]) -> bool:
    difference = numbers["max_abs_difference"]
    return difference is not None and difference <= numbers["tolerance"] and not numbers["other_answers"]


def _told(numbers: dict[str, Any]) -> str:
    difference = numbers["max_abs_difference"]
    return (
        f"{'equal to' if _is_equal(numbers) else 'NOT equal to'} the checkpoint on {numbers['rows']:,} rows "
        f"(largest difference {'not finite' if difference is None else f'{difference:.2g}'}, "
        f"same answer for {numbers['same_answers']:.2%})"
    )
