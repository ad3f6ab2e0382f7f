"""`bmtool inspect --row`: what became of one row, why, and which models saw it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bmtool.artifacts.manifest import MANIFEST, read_manifest
from bmtool.artifacts.store import open_artifact
from bmtool.console import json_text
from bmtool.errors import MissingInputError
from bmtool.report.tables import printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bmtool.artifacts.manifest import Manifest


@dataclass
class Trace:
    """What is known of a row in one store."""

    row: str
    dropped: list[dict[str, Any]] = field(default_factory=list)
    """why it went, from `dropped.arrow` of the dataset that was asked about"""
    places: list[dict[str, Any]] = field(default_factory=list)
    """datasets that hold it: artifact, split, number"""
    models: list[dict[str, Any]] = field(default_factory=list)
    """artifacts that were made from these: artifact, kind, stage, dataset, split"""


def trace(folder: Path, row: str, *, as_json: bool = False) -> int:
    """Print what became of the row with the id `row`, and which artifacts of the store were made from it.

    Raises:
        MissingInputError: the artifact is no dataset, or nobody knows the row.
    """
    artifact = open_artifact(folder)
    if artifact.kind != "dataset":
        raise MissingInputError(f"{folder}: --row looks into a dataset, and this is a {artifact.kind}")
    found = _trace(artifact.folder, row)
    if not found.dropped and not found.places:
        raise MissingInputError(
            f"{folder}: no row {row} is here or in another dataset of the store. "
            "An id is 32 hex digits: the column 'id' of a split, or of dropped.arrow"
        )
    if as_json:
        result = {key: value for key, value in vars(found).items() if key != "row"}
        document = {
            "command": "inspect",
            "exit_code": 0,
            "results": [{"artifact": str(artifact.folder), "row": row, **result}],
        }
        print(json_text(document))  # noqa: T201  # the result
    else:
        print("\n".join(_lines(artifact.folder, found)))  # noqa: T201  # the result
    return 0


def _trace(folder: Path, row: str) -> Trace:
    from bmtool.data.passes.drops import find_drop

    found = Trace(row)
    if (folder / "dropped.arrow").exists():
        found.dropped = [
            {key: value for key, value in one.items() if value is not None} for one in find_drop(folder, row)
        ]
    manifests = {
        one: read_manifest(one)
        for one in sorted(folder.parent.iterdir())
        if not one.name.startswith(".") and (one / MANIFEST).exists()
    }
    for one, manifest in manifests.items():
        if manifest.kind == "dataset":
            places = list(_places(one, row))
            found.places += places
            for split in dict.fromkeys(place["split"] for place in places):
                found.models += _made_from(one.name, split, manifests)
    return found


def _places(folder: Path, row: str) -> Iterator[dict[str, Any]]:
    """Where a dataset holds the row."""
    import pyarrow.compute as pc

    from bmtool.data.dataset import open_dataset

    for name, split in open_dataset(folder).splits.items():
        start = 0
        for batch in split.batches():
            for number in pc.indices_nonzero(pc.equal(batch.column("id"), row)).to_pylist():
                yield {"artifact": folder.name, "split": name, "number": start + number}
            start += batch.num_rows


#: What `prepare` compares its rows with: none of these is in what it makes.
_COMPARED = ("against:", "decontaminate:")


def _made_from(dataset: str, split: str, manifests: dict[Path, Manifest]) -> Iterator[dict[str, Any]]:
    """Every artifact that rows of this split went into, directly or through others."""
    reached = {dataset}
    waiting = [dataset]
    while waiting:
        source = waiting.pop()
        for folder, manifest in manifests.items():
            is_test = source == dataset and split == "test"
            if source in _read_by(manifest, is_test=is_test) and folder.name not in reached:
                reached.add(folder.name)
                waiting.append(folder.name)
                yield {
                    "artifact": folder.name,
                    "kind": manifest.kind,
                    "stage": manifest.stage,
                    "finished": manifest.finished,
                    "dataset": dataset,
                    "split": split,
                }


def _read_by(manifest: Manifest, *, is_test: bool) -> set[str | None]:
    """The artifacts whose rows went into this one; with `is_test` their test rows, of which no model learns."""
    unread = ("source:", *_COMPARED, *(["tokenizer"] if is_test else []))
    if is_test and manifest.kind == "checkpoint":
        return set()
    return {value.get("path") for role, value in manifest.inputs.items() if not role.startswith(unread)}


def _lines(folder: Path, found: Trace) -> Iterator[str]:
    for one in found.dropped:
        yield printable(f"dropped: {_reason(one)}")
        if "file" in one:
            yield printable(f"  read from {one['file']}, line {one.get('line', '?')}")
    here = [place for place in found.places if place["artifact"] == folder.name]
    for place in here:
        yield f"kept: {place['split']}, row {place['number']:,}"
    if not here and not found.dropped:
        yield "it isn't in this dataset, nor was it dropped from it: its sources don't hold it (any more)"
    for place in found.places:
        if place["artifact"] != folder.name:
            yield f"also in {place['artifact']}: {place['split']}, row {place['number']:,}"
    for model in found.models:
        where = f"from {model['dataset']} {model['split']}"
        yield f"seen by {model['artifact']} ({model['kind']}, {model['finished']}), {where}"
    if found.places and not found.models:
        yield "no artifact of this store was made from it"


def _reason(one: dict[str, Any]) -> str:
    """`length (min_chars): 12 against 200`, or `near duplicate of 1f3a..., similarity 0.83`."""
    text = str(one["reason"])
    if "rule" in one:
        text += f" ({one['rule']})"
    if "value" in one:
        text += f": {one['value']:g} against {one['threshold']:g}" if "threshold" in one else f": {one['value']:g}"
    if "kept" in one:
        text += f" of {one['kept']}"
    if "similarity" in one:
        text += f", similarity {one['similarity']:.3f}"
    return text
