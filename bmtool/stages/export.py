"""Write a fine-tuned checkpoint in other formats, each proven equal to it on real rows before it is committed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field, PositiveInt

from bmtool.config.model import HOW, Settings
from bmtool.config.references import ModelRef, Ref, Reference
from bmtool.contracts import GateResult, Need, OneExporter
from bmtool.errors import ConfigError, DataError

if TYPE_CHECKING:
    from pathlib import Path

    from bmtool.contracts import Job
    from bmtool.runner.pipeline import Pipeline

VERSION = 2
VERSION_COUNTS = True
KIND = "bundle"


class Config(Settings):
    """What to write, and which rows to compare on."""

    from_: Annotated[ModelRef, HOW] = Field(default=Reference(form="name", value="finetune"), alias="from")
    data: Annotated[Ref | None, HOW] = None
    """The dataset whose rows are compared; without it, what the checkpoint was trained on."""
    formats: Annotated[tuple[OneExporter, ...], Field(min_length=1)]
    split: str = "test"
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
    return {"from": Need("checkpoint", reference=config.from_), "data": Need("dataset", reference=data)}


def raw(config: Config) -> list[tuple[str, Path]]:
    """Nothing but artifacts is read."""
    del config
    return []


def run(config: Config, job: Job) -> dict[str, Any]:
    """Write each format with what it needs, compare, and write the model card."""
    from bmtool.data.dataset import open_dataset
    from bmtool.models.inference import Rows
    from bmtool.report.card import write_bundle_card

    checkpoint = job.inputs["from"]
    dataset = job.inputs["data"].folder
    split = open_dataset(dataset)[config.split]
    if not split.num_rows:
        raise DataError(f"{dataset}: the {config.split} split has no rows to compare on. Raise its share under 'split'")
    rows = Rows.first(split, config.max_rows)
    compared = {}
    for exporter in config.formats:
        job.console.say(f"writing {exporter.name()}")
        compared[exporter.name()] = exporter.export(checkpoint, rows, job.folder, job)
    write_bundle_card(job.folder, checkpoint, compared, split=config.split)
    return {"formats": compared, "split": config.split, "checkpoint": checkpoint.fingerprint}


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
