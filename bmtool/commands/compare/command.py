"""`bmtool compare`: two artifacts of one kind, or two projects, side by side: what differs, and what came out."""

from __future__ import annotations

import shutil
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from bmtool.artifacts.manifest import MANIFEST
from bmtool.commands.compare.numbers import Pair, compare_numbers
from bmtool.commands.compare.origin import Origin, compare_origins
from bmtool.commands.compare.page import page
from bmtool.commands.compare.scores import Measured, compare_scores
from bmtool.commands.inspect import opened
from bmtool.config.references import STAGES
from bmtool.console import json_text
from bmtool.errors import MissingInputError

if TYPE_CHECKING:
    from pathlib import Path

    from bmtool.artifacts.manifest import Artifact


@dataclass
class Compared:
    """One artifact of each side."""

    name: str
    """`prepare/stars`, of projects; empty for two artifacts that were named themselves"""
    kind: str
    a: dict[str, str]
    b: dict[str, str]
    """artifact, fingerprint, finished"""
    is_same: bool
    origin: Origin = field(default_factory=Origin)
    numbers: list[Pair] = field(default_factory=list)
    measured: list[Measured] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def compare(a: Path, b: Path, *, as_json: bool = False) -> int:
    """Print what differs between `a` and `b`, and the numbers of both. Differences are those of `b` to `a`.

    Raises:
        MissingInputError: one isn't there, or they have nothing that can be compared.
        DataError: a file of one can't be read.
    """
    ours, theirs = _artifacts(a), _artifacts(b)
    common = [name for name in ours if name in theirs]
    if not common:
        raise MissingInputError(_nothing_in_common(a, ours, b, theirs))
    results = [_compared(name, ours[name], theirs[name]) for name in common]
    alone = {"a": [name for name in ours if name not in theirs], "b": [name for name in theirs if name not in ours]}
    if as_json:
        document = {"command": "compare", "exit_code": 0, "results": [asdict(one) for one in results], "alone": alone}
        print(json_text(document))  # noqa: T201  # the result
    else:
        width = shutil.get_terminal_size((120, 24)).columns
        print("\n".join(page(results, alone, (str(a), str(b)), width)))  # noqa: T201  # the result
    return 0


def _artifacts(folder: Path) -> dict[str, Artifact]:
    """The artifact at a path under no name; of a project such as `runs/reviews` each under that of its stage."""
    prepared = folder / STAGES[0]
    datasets = sorted(one.name for one in prepared.iterdir()) if prepared.is_dir() else []
    names = [*(f"{STAGES[0]}/{name}" for name in datasets), *STAGES[1:]]
    there = [name for name in names if (folder / name / MANIFEST).is_file()]
    if there and not (folder / MANIFEST).exists():
        return {name: opened(folder / name) for name in there}
    return {"": opened(folder)}


def _nothing_in_common(a: Path, ours: dict[str, Artifact], b: Path, theirs: dict[str, Artifact]) -> str:
    def what(artifacts: dict[str, Artifact]) -> str:
        return f"an artifact ({artifacts[''].kind})" if "" in artifacts else f"a project with {', '.join(artifacts)}"

    advice = "Compare two artifacts of one kind, such as runs/x/finetune and runs/y/finetune, or runs/x and runs/y"
    return f"{a} is {what(ours)}, and {b} is {what(theirs)}. {advice}"


def _compared(name: str, a: Artifact, b: Artifact) -> Compared:
    if a.kind != b.kind:
        raise MissingInputError(
            f"{a.folder}: kind {a.kind}, and {b.folder}: kind {b.kind}. Only artifacts of one kind are compared"
        )
    found = Compared(
        name, a.kind, _facts(a), _facts(b), is_same=_files(a) == _files(b) and a.fingerprint == b.fingerprint
    )
    if not found.is_same:
        found.origin = compare_origins(a, b)
        found.numbers = compare_numbers(a, b)
        if a.kind == "evaluation":
            found.measured, found.notes = compare_scores(a, b)
        if a.kind == "checkpoint" and _data_of(a) != _data_of(b):
            found.notes.append("they were trained and validated on different rows")
        if a.fingerprint == b.fingerprint:
            found.notes.append("both are of the same settings and inputs: they were made twice")
    return found


def _facts(artifact: Artifact) -> dict[str, str]:
    finished = artifact.manifest.finished if artifact.manifest else ""
    return {"artifact": str(artifact.folder), "fingerprint": artifact.fingerprint, "finished": finished}


def _files(artifact: Artifact) -> dict[str, str]:
    entries = artifact.manifest.files if artifact.manifest else {}
    return {name: entry.sha256 for name, entry in entries.items()}


def _data_of(artifact: Artifact) -> dict[str, Any]:
    inputs = artifact.manifest.inputs if artifact.manifest else {}
    return {role: given.get("fingerprint") for role, given in inputs.items() if role.partition(":")[0] == "data"}
