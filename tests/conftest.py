"""Fixtures that several tests use: tiny real datasets, tokenizers and checkpoints, and a job for one stage alone."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from bmtool.artifacts.manifest import Artifact, Manifest
from bmtool.config.shared import Runtime
from bmtool.console import Console
from bmtool.contracts import Job


class Log(Console):
    """A console that keeps its lines."""

    def __init__(self):
        super().__init__()
        self.lines = []

    def _write(self, text, *, prefix=True):
        self.lines.append(text)


def artifact(folder, kind, summary=None, config=None):
    """An artifact as the runner hands it to a stage."""
    manifest = Manifest(kind, "test", 1, folder.name, config or {}, {}, {}, summary or {})
    return Artifact(folder, kind, folder.name, manifest)


@pytest.fixture
def make_job(tmp_path):
    """Make a job: `make_job(folder, {"data": (path, "dataset"), ...})`; an input may also be an Artifact."""

    def make(folder=None, inputs=None, seed=0):
        folder = Path(folder or tmp_path / "partial")
        folder.mkdir(parents=True, exist_ok=True)
        known = {
            role: value if isinstance(value, Artifact) else artifact(*value) for role, value in (inputs or {}).items()
        }
        return Job(
            folder=folder,
            inputs=known,
            seed=seed,
            runtime=Runtime(device="cpu", threads=1),
            console=Log(),
            stop=SimpleNamespace(reason=""),
            fingerprint="f" * 64,
        )

    return make
