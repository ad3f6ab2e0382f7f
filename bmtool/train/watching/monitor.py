"""The log of a run, `metrics.jsonl`: one line of plain JSON per look at the losses and per validation."""

from __future__ import annotations

import json
import math
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bmtool.train.watching.reporting import Reporting

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

METRICS_LOG = "metrics.jsonl"


@dataclass(frozen=True)
class Monitor:
    """Appends to a log. A line has `kind` (`train` or `validation`), `step`, `epoch`, `tokens` and numbers."""

    path: Path
    is_silent: bool = False
    """For the processes of a run that don't write its log"""
    reporting: Reporting = field(default_factory=Reporting)
    """Gets every line as well"""

    def rewind(self, step: int, *, is_validated: bool) -> None:
        """Forget lines behind `step`, and a half-written last one: a resumed run writes them again.

        The validation at `step` itself, too, unless the saved state knows of it.
        """
        if self.is_silent or not self.path.exists():
            return
        lines = self.path.read_text(encoding="utf-8").splitlines(keepends=True)
        last = step if is_validated else step - 0.5
        kept = [line for line in lines if _step_of(line) <= (last if _is_validation(line) else step)]
        new = self.path.with_name(f".{self.path.name}.new")
        new.write_text("".join(kept), encoding="utf-8")
        new.rename(self.path)

    def write(self, kind: str, values: Mapping[str, Any]) -> None:
        """Append one line; a number that isn't finite becomes null, as JSON has none."""
        if self.is_silent:
            return
        plain = {key: _plain(value) for key, value in values.items()}
        with self.path.open("a", encoding="utf-8") as log:
            log.write(json.dumps({"kind": kind, **plain}, allow_nan=False) + "\n")
        self.reporting.put(kind, plain)

    def close(self) -> None:
        """Wait a while for what was reported."""
        self.reporting.close()

    def sync(self) -> None:
        """Wait until the log is on the disk, before a saved state that counts on it."""
        if self.path.exists():
            with self.path.open("rb") as log:
                os.fsync(log.fileno())


def read_log(path: Path) -> list[dict[str, Any]]:
    """All lines of a log, oldest first."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: _plain(member) for key, member in value.items()}
    return value


def _is_validation(line: str) -> bool:
    return line.startswith('{"kind": "validation"')


def _step_of(line: str) -> float:
    try:
        return int(json.loads(line)["step"]) if line.endswith("\n") else math.inf
    except (ValueError, KeyError, TypeError):
        return math.inf
