"""The manifest: what an artifact is, what it was made from, and the hash of every file in it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from bmtool.errors import DataError, MissingInputError

if TYPE_CHECKING:
    from pathlib import Path

MANIFEST = "manifest.json"
FORMAT_VERSION = 1

#: The folder inside a partial artifact that holds saved work; it is removed when the artifact is committed.
RESUME = "checkpoints"


@dataclass(frozen=True)
class FileEntry:
    """A listed file: only listed files belong to an artifact."""

    size: int
    sha256: str
    rows: int | None = None


@dataclass(frozen=True)
class Manifest:
    """Everything known about an artifact; `manifest.json` in its folder."""

    kind: str
    """`dataset`, `checkpoint`, `evaluation` or `bundle`"""
    stage: str
    stage_version: int
    fingerprint: str
    config: dict[str, Any]
    inputs: dict[str, dict[str, str]]
    """role -> {path, fingerprint}; raw files: `source:<name>` -> {sha256}"""
    files: dict[str, FileEntry]
    summary: dict[str, Any]
    environment: dict[str, Any] = field(default_factory=dict)
    git_revision: str | None = None
    started: str = ""
    finished: str = ""
    is_smoke: bool = False
    """Made by `--smoke`, from a few rows in a few steps: nothing but another smoke run may read it."""
    format_version: int = FORMAT_VERSION

    def to_json(self) -> str:
        """Stable text: sorted keys, so that equal manifests are equal bytes."""
        return json.dumps(asdict(self), indent=2, sort_keys=True, ensure_ascii=False) + "\n"


@dataclass(frozen=True)
class Artifact:
    """A folder that a stage reads: one of ours, or a foreign checkpoint without a manifest."""

    folder: Path
    kind: str
    fingerprint: str
    manifest: Manifest | None = None
    revision: str = ""
    """`hf:org/name@COMMIT`, for a checkpoint of the hub"""

    @property
    def summary(self) -> dict[str, Any]:
        """The recorded summary; empty for a foreign folder."""
        return self.manifest.summary if self.manifest else {}

    @property
    def is_smoke(self) -> bool:
        """Whether a smoke run made it."""
        return self.manifest is not None and self.manifest.is_smoke


def read_manifest(folder: Path) -> Manifest:
    """Read `manifest.json`.

    Raises:
        MissingInputError: there is none.
        DataError: it can't be read.
    """
    path = folder / MANIFEST
    try:
        plain = json.loads(path.read_text(encoding="utf-8"))
        files = {name: FileEntry(**entry) for name, entry in plain.pop("files").items()}
        return Manifest(**plain, files=files)
    except FileNotFoundError:
        raise MissingInputError(f"{folder}: no artifact is here ({MANIFEST} is missing)") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{path}: the manifest can't be read: {error}. Make the artifact again with --force") from None
