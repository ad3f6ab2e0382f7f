"""What a stage of the pipeline is: what it needs, what it gets, what it leaves."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from bmtool.artifacts.files import Stamp
    from bmtool.artifacts.manifest import Artifact
    from bmtool.config.model import Settings
    from bmtool.config.references import Reference
    from bmtool.config.shared import Runtime
    from bmtool.console import Console
    from bmtool.runner.pipeline import Pipeline
    from bmtool.train.jobs.sketch import Sketch
    from bmtool.train.sizing.estimate import Outline


class Stop(Protocol):
    """Asks a long step to stop."""

    @property
    def reason(self) -> str:
        """Empty until a signal came or `--max-time` is over."""


@dataclass(frozen=True)
class Job:
    """All that a stage gets besides its settings. The runner makes it, and commits `folder` when `run` returns."""

    folder: Path
    """The partial folder to write into; it may hold the saved work of an interrupted run."""
    inputs: Mapping[str, Artifact]
    """What the stage reads, by role (`data`, `from`, ...)."""
    seed: int
    runtime: Runtime
    console: Console
    stop: Stop
    fingerprint: str = ""
    raw: Mapping[str, str] = field(default_factory=dict)
    """sha256 of each raw file, by the name that `Stage.raw` gave it."""
    stamps: Mapping[str, Stamp] = field(default_factory=dict)
    """What each raw file bore while it had that sha256, by the same names; what is read under another doesn't count."""
    cache: Path | None = None
    """A folder shared by all runs of a store, for work that can be taken up again; None: nothing is kept."""
    is_fresh: bool = False
    """Whether everything is made from nothing (`--force`): what `cache` holds is not read."""
    reports: Path | None = None
    """A folder outside of the artifact for what reporters keep, as `runs/NAME/reports/STAGE`; None: `folder`."""
    wait_seconds: float = 0.0
    """How long to wait for a card that others compute on (`--wait`)"""
    is_smoke: bool = False
    """Whether this is a smoke run (`--smoke`): `prepare` takes a few rows, the settings of the others are small."""


@dataclass(frozen=True)
class Planned:
    """An input that isn't made yet: the settings that it will be made by, and its own inputs."""

    stage: str
    section: str
    """Where its settings are in the file: `prepare.corpus`, `pretrain`"""
    config: Any
    inputs: Mapping[str, Planned | Artifact]


@dataclass(frozen=True)
class Need:
    """An input of a stage: something that a name or a path refers to, or something made on the way."""

    kind: Literal["dataset", "checkpoint", "evaluation"]
    reference: Reference | None = None
    """A name in this file, or a path."""
    made: tuple[str, Settings] | None = None
    """(stage, settings) of an artifact that belongs to this stage alone, made and cached when it is needed."""
    splits: tuple[str, ...] = ()
    """Of a dataset: what must be there and hold rows, as far as it is known beforehand."""
    asked_by: tuple[str | int, ...] = ("data",)
    """The setting of the section that asks for these splits"""


@dataclass(frozen=True)
class GateResult:
    """A threshold and what was measured."""

    name: str
    passed: bool
    message: str
    """`accuracy 0.412 is below 0.5`: what was asked, what was seen."""
    is_about_quality: bool = True
    """Whether it asks for what a few steps on a few rows can't give; a smoke run says it, and doesn't fail."""

    @property
    def verdict(self) -> str:
        """`gate NOT MET: accuracy 0.412 is below 0.5`."""
        return f"gate {'passed' if self.passed else 'NOT MET'}: {self.message}"


class Stage(Protocol):
    """What a module in `stages/` gives. The runner does all the rest."""

    VERSION: int
    """Raised when the same settings and inputs make something else than before."""
    VERSION_COUNTS: bool
    """Whether VERSION is in the fingerprint: not for training, an upgrade never starts a three-day run again."""
    KIND: str
    """What it makes: `dataset`, `checkpoint`, `evaluation` or `bundle`."""
    Config: type[Any]
    """Its section of the file."""

    def needs(self, config: Any, pipeline: Pipeline) -> dict[str, Need]:
        """Inputs by role."""

    def raw(self, config: Any) -> list[tuple[str, Path]]:
        """Raw files read, as `Source.files` gives them."""

    def run(self, config: Any, job: Job) -> dict[str, Any]:
        """Write everything into `job.folder`; return the summary (plain JSON) for the manifest and the last lines."""

    def gates(self, config: Any, summary: dict[str, Any]) -> list[GateResult]:
        """Judge recorded numbers; called after each run and also when the artifact is up to date."""

    def describe(self, summary: dict[str, Any]) -> list[str]:
        """The few lines a person wants to see at the end."""


class TrainingStage(Stage, Protocol):
    """A stage that makes a checkpoint. It can also say what it would train."""

    def outline(self, config: Any, job: Job) -> Outline:
        """The model without weights and what it would be trained on, for `--dry-run`; nothing is written."""

    def sketch(self, config: Any, inputs: Mapping[str, Planned | Artifact], job: Job) -> Sketch:
        """The same from settings alone, where not all inputs are made; those of `job` are none."""
