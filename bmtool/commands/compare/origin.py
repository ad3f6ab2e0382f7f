"""Where two artifacts of one kind come from, as far as it differs: settings, inputs, what they were made with."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bmtool.artifacts.manifest import MANIFEST
from bmtool.artifacts.store import open_artifact
from bmtool.config.changes import changes
from bmtool.config.document import dotted
from bmtool.models.files.task_folders import whole_of

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bmtool.artifacts.manifest import Artifact, Manifest

#: Raw files among the inputs.
_SOURCE = "source:"


@dataclass(frozen=True)
class Difference:
    """One thing that isn't the same; None where it isn't there."""

    key: str
    a: Any
    b: Any


@dataclass
class Origin:
    """What differs on the way to two artifacts, and in the artifacts that they were made from."""

    settings: list[Difference] = field(default_factory=list)
    inputs: list[Difference] = field(default_factory=list)
    """By `finetune: data` or `prepare.stars: file reviews.csv` the artifacts, or a file's first digits of sha256"""
    num_inputs_alike: int = 0
    environment: list[Difference] = field(default_factory=list)


def compare_origins(a: Artifact, b: Artifact) -> Origin:
    """Follow both back to their raw files, as far as their inputs differ and are in their stores."""
    found = Origin()
    if a.manifest is not None and b.manifest is not None:
        _follow(found, (a, a.manifest), (b, b.manifest), a.manifest.stage, set())
    return found


def _follow(
    found: Origin, a: tuple[Artifact, Manifest], b: tuple[Artifact, Manifest], section: str, seen: set[Any]
) -> None:
    (artifact_a, one), (artifact_b, other) = a, b
    differing = changes(one.config, other.config)
    settings = [Difference(f"{section}.{dotted(path)}", before, after) for path, before, after in differing]
    # Several inputs may differ in the same way, such as the seeds of a training.
    found.settings += [member for member in settings if member not in found.settings]
    unlike = _unlike(_environment(one), _environment(other), section)
    found.environment += [member for member in unlike if member not in found.environment]
    for role in [*one.inputs, *(role for role in other.inputs if role not in one.inputs)]:
        ours, theirs = _identity(one, role), _identity(other, role)
        if ours == theirs:
            found.num_inputs_alike += 1
            continue
        if (ours, theirs) in seen:
            continue
        seen.add((ours, theirs))
        label = f"file {role.removeprefix(_SOURCE)}" if role.startswith(_SOURCE) else role
        found.inputs.append(Difference(f"{section}: {label}", _named(one, role), _named(other, role)))
        below_a, below_b = _input(artifact_a, role), _input(artifact_b, role)
        if below_a and below_b and below_a[1].stage == below_b[1].stage:
            _follow(found, below_a, below_b, _section(below_a[1], role, one), seen)


def _identity(manifest: Manifest, role: str) -> str | None:
    given = manifest.inputs.get(role, {})
    return given.get("fingerprint") or given.get("sha256")


def _named(manifest: Manifest, role: str) -> str | None:
    given = manifest.inputs.get(role)
    return None if given is None else given.get("path") or given.get("sha256", "")[:12]


def _input(artifact: Artifact, role: str) -> tuple[Artifact, Manifest] | None:
    """An input that is in the same store still."""
    given = artifact.manifest.inputs.get(role, {}) if artifact.manifest else {}
    folder = whole_of(artifact.folder).parent / given.get("path", "")
    if role.startswith(_SOURCE) or not given.get("path") or not (folder / MANIFEST).is_file():
        return None
    found = open_artifact(folder)
    return None if found.manifest is None else (found, found.manifest)


def _section(manifest: Manifest, role: str, reader: Manifest) -> str:
    """`finetune`; of a dataset `prepare.stars`, as whoever read it calls it."""
    if manifest.stage != "prepare":
        return manifest.stage
    called = role.partition(":")[2] or reader.config.get(role)
    name = called.rstrip("/").rpartition("/")[2] if isinstance(called, str) else ""
    return f"prepare.{name}" if name else "prepare"


def _environment(manifest: Manifest) -> dict[str, Any]:
    """What may explain another result, as one level of names."""
    given = manifest.environment
    flat: dict[str, Any] = {
        "made by --smoke": manifest.is_smoke,
        f"version of {manifest.stage}": manifest.stage_version,
    }
    flat |= {name: given[name] for name in ("python", "platform") if name in given}
    flat |= {name: version for name, version in given.get("packages", {}).items() if version is not None}
    flat |= given.get("choices", {})
    return flat | {"git revision": manifest.git_revision}


def _unlike(a: dict[str, Any], b: dict[str, Any], section: str) -> Iterator[Difference]:
    for key in [*a, *(key for key in b if key not in a)]:
        if _chosen(a.get(key)) != _chosen(b.get(key)):
            yield Difference(f"{section}: {key}", a.get(key), b.get(key))


def _chosen(value: Any) -> Any:
    """A choice without its reason: `bf16` of `bf16 (the processor has AMX)`."""
    return value.partition(" (")[0] if isinstance(value, str) else value
