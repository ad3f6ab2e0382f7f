"""Where the numbers of a running training go besides its log."""

from __future__ import annotations

import importlib.util
from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from bmtool.config.model import Component
from bmtool.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True)
class ReportedRun:
    """What a reporter knows of the run whose numbers it gets."""

    name: str
    """`pretrain-77c0a1b2c3d4`"""
    project: str
    """The pipeline's name"""
    folder: Path
    """Where it may keep files; no part of the artifact"""
    handle: str
    """What `Channel.handle` was when the same run began; empty for a new one"""
    new_handle: str
    """One that no other run has, for services that let their callers choose"""


class Channel(Protocol):
    """An open connection to where numbers go. It is used by one thread; whatever it raises is said and counted."""

    @property
    def handle(self) -> str:
        """What the service knows the run by, so that it can be gone on with."""

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Send the numbers of a step, by names such as `train/loss`. A step is sent once a kind, in order."""

    def close(self) -> None:
        """Send what waits, and end."""


class Reporter(Component):
    """Sends a run's numbers somewhere besides `metrics.jsonl`. Training never waits for it, and never fails with it.

    Its name is that of the package that it needs, and of the extra that brings it.
    """

    def extras(self) -> tuple[str, ...]:
        """The one that is called as it is."""
        return (self.name(),)

    def check(self) -> None:
        """Make sure, before training, that it can work.

        Raises:
            ConfigError: its package isn't installed.
        """
        if importlib.util.find_spec(self.name()) is None:
            raise ConfigError(
                f"report_to: {self.name()} isn't installed. Install it: pip install 'bmtool-pipeline[{self.name()}]'"
            )

    @abstractmethod
    def open(self, run: ReportedRun) -> Channel:
        """Connect, without asking anybody anything; no network unless the service's own variables say so."""
