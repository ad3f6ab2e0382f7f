"""`bmtool inspect`: what an artifact is, what it was made from, and what is in it."""

from __future__ import annotations

import json
import os
import shutil
import time
from dataclasses import asdict, replace
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bmtool.artifacts.store import open_artifact
from bmtool.commands.status import age_text
from bmtool.console import json_text, size_text
from bmtool.errors import DataError
from bmtool.models.files.task_folders import TASKS_KEY, whole_of
from bmtool.report.blocks import Table
from bmtool.report.dataset_steps import took_by_step
from bmtool.report.tables import cut, plain, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bmtool.artifacts.manifest import Artifact, Manifest

#: Rows of each split that are shown.
SHOWN_ROWS = 3

#: Characters of a value that are kept: more than any terminal shows.
SHOWN_CHARS = 200


def inspect(folder: Path, *, as_json: bool = False) -> int:
    """Print an artifact's facts, splits, metrics and first rows, cut to the terminal's width.

    Raises:
        MissingInputError: no artifact is there.
        DataError: a file of it can't be read.
    """
    artifact = opened(folder)
    if artifact.manifest is None:
        raise AssertionError(f"{folder}: open_artifact gave no manifest")
    splits = _splits(artifact) if artifact.kind == "dataset" else {}
    scores = _scores(artifact)
    if as_json:
        result = {
            "artifact": str(artifact.folder),
            "manifest": asdict(artifact.manifest),
            "splits": splits,
            "metrics": scores,
        }
        print(json_text({"command": "inspect", "exit_code": 0, "results": [result]}))  # noqa: T201
        return 0
    width = shutil.get_terminal_size((120, 24)).columns
    print("\n".join(_page(artifact, artifact.manifest, splits, scores, width)))  # noqa: T201  # the result
    return 0


def opened(folder: Path) -> Artifact:
    """The artifact at a path; at the folder of one of several tasks what of the artifact is this task's."""
    here = Path(os.path.abspath(folder))  # noqa: PTH100  # `.` has a parent, too; links stay
    whole = whole_of(here)
    artifact = open_artifact(folder if whole == here else whole)
    if whole == here or artifact.manifest is None:
        return artifact
    task, manifest, summary = here.name, artifact.manifest, artifact.summary
    own = {key: value for key, value in summary.items() if key != TASKS_KEY} | summary.get(TASKS_KEY, {}).get(task, {})
    if "validation" in own:
        own["validation"] = {key: value for key, value in own["validation"].items() if key.startswith(f"{task}.")}
    files = {name: entry for name, entry in manifest.files.items() if name.startswith(f"{task}/")}
    return replace(
        artifact,
        folder=artifact.folder / task,
        manifest=replace(manifest, files=files, summary={"part of": str(artifact.folder)} | own),
    )


def _page(
    artifact: Artifact, manifest: Manifest, splits: dict[str, Any], scores: list[list[Any]], width: int
) -> Iterator[str]:
    yield from _facts(artifact, manifest, width)
    if scores:
        columns = ["dataset", "model", "metric", "value", "low", "high", "n"]
        yield "\n" + plain(Table(columns, scores), width).rstrip()
    took = manifest.environment.get("throughput")
    if took:
        yield "\n" + plain(took_by_step(took), width).rstrip()
    for name, split in splits.items():
        kinds = ", ".join(f"{column} {kind}" for column, kind in split["columns"].items())
        yield "\n" + cut(f"{name}: {split['rows']:,} rows; {printable(kinds)}", width)
        for row in split["first_rows"]:
            yield cut("  " + printable(json.dumps(row, ensure_ascii=False)), width)


def _facts(artifact: Artifact, manifest: Manifest, width: int) -> Iterator[str]:
    size = size_text(sum(entry.size for entry in manifest.files.values()))
    inputs = [f"{role} {value.get('path') or value.get('sha256', '')[:12]}" for role, value in manifest.inputs.items()]
    pairs = {
        "artifact": str(artifact.folder),
        "kind": f"{manifest.kind}, by {manifest.stage} (version {manifest.stage_version})",
        "fingerprint": manifest.fingerprint,
        "made": f"{manifest.finished} ({_age(manifest.finished)} ago), git {manifest.git_revision or '-'}",
        "files": f"{len(manifest.files)}, {size}",
        "read": f"{len(inputs)} inputs: {', '.join(inputs[:4])}" + (", ..." if len(inputs) > 4 else ""),
        "settings": json.dumps(manifest.config, ensure_ascii=False),
    }
    facts = {key: value for key, value in manifest.summary.items() if key not in {"datasets", "ledger"}}
    pairs |= {
        key: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False) for key, value in facts.items()
    }
    if "ledger" in manifest.summary:
        pairs["ledger"] = json.dumps(manifest.summary["ledger"], ensure_ascii=False)
    space = max(len(name) for name in pairs) + 2
    for name, value in pairs.items():
        yield cut(f"{name:{space}}{printable(value)}", width)


def _age(finished: str) -> str:
    try:
        return age_text(time.time() - datetime.fromisoformat(finished).timestamp())
    except ValueError:
        return "?"


def _scores(artifact: Artifact) -> list[list[Any]]:
    """Rows (dataset, model or baseline, metric, value, low, high, n) of an evaluation's metrics.json."""
    path = artifact.folder / "metrics.json"
    if not path.exists():
        return []
    try:
        datasets = json.loads(path.read_text(encoding="utf-8"))["datasets"]
        found = []
        for name, result in datasets.items():
            for who, metrics in [("model", result["metrics"]), *result.get("baselines", {}).items()]:
                for metric, score in metrics.items():
                    found.append([f"{name} {result['split']}", who, metric, *(score.get(k) for k in _SCORE)])
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: the metrics can't be read: {error!r}") from None
    return found


_SCORE = ("value", "low", "high", "n")


def _splits(artifact: Artifact) -> dict[str, Any]:
    """Columns, row count and first rows of each split."""
    from bmtool.data.dataset import open_dataset

    found = {}
    for name, split in open_dataset(artifact.folder).splits.items():
        rows = (row for batch in split.batches() for row in batch.slice(0, SHOWN_ROWS).to_pylist())
        found[name] = {
            "rows": split.num_rows,
            "columns": {field.name: str(field.type) for field in split.schema},
            "first_rows": [_short(row, split.features) for row in islice(rows, SHOWN_ROWS)],
        }
    return found


def _short(row: dict[str, Any], features: dict[str, Any]) -> dict[str, Any]:
    """A row as a person reads it: labels by name, long values cut."""
    short: dict[str, Any] = {}
    for name, value in row.items():
        feature = features.get(name) or {}
        names = (feature.get("feature") or feature).get("names")
        if names is not None and isinstance(value, int):
            value = names[value]
        elif names is not None and isinstance(value, list):
            value = [names[member] for member in value]
        if isinstance(value, str):
            value = cut(value, SHOWN_CHARS)
        short[name] = value[:20] if isinstance(value, list) else value
    return short
