"""Hands the numbers of a run to reporters, beside training: no step waits for them, or fails with them."""

from __future__ import annotations

import json
import secrets
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, Full, Queue
from typing import TYPE_CHECKING, Any

from bmtool.artifacts.manifest import RESUME
from bmtool.contracts import ReportedRun

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bmtool.console import Console
    from bmtool.contracts import Channel, Job, Reporter

#: So many lines may wait; further ones are lost.
WAITING_LINES = 1000

#: At the end of a run all reporters together get so long for what still waits.
PATIENCE_SECONDS = 10.0


@dataclass
class Sent:
    """What a reporter was given before, in a file beside the saved states: a run that goes on sends no step twice."""

    path: Path
    handle: str = ""
    steps: dict[str, int] = field(default_factory=dict)
    """kind of line -> last step"""

    @classmethod
    def at(cls, path: Path) -> Sent:
        """What stands in the file; nothing if it isn't there or half-written."""
        try:
            return cls(path, **json.loads(path.read_text(encoding="utf-8")))
        except (FileNotFoundError, ValueError, TypeError):
            return cls(path)

    def note(self) -> None:
        """Write it down."""
        new = self.path.with_name(f".{self.path.name}.new")
        new.write_text(json.dumps({"handle": self.handle, "steps": self.steps}), encoding="utf-8")
        new.rename(self.path)


class Feed:
    """One reporter in a thread of its own, behind a queue."""

    def __init__(self, reporter: Reporter, job: Job, *, waiting_lines: int = WAITING_LINES) -> None:
        """Start; the service is opened in the thread."""
        self.name = reporter.name()
        self.console: Console = job.console
        self.lost = 0
        self.queue: Queue[tuple[str, int, dict[str, float]] | None] = Queue(waiting_lines)
        self._warned = threading.Lock()
        self._is_given_up = False
        sent = Sent.at(job.folder / RESUME / f"reported-{self.name}.json")
        self._thread = threading.Thread(target=self._work, args=(reporter, job, sent), name=self.name, daemon=True)
        self._thread.start()

    def put(self, kind: str, values: Mapping[str, Any]) -> None:
        """Hand over a line of the log; it is lost if too many wait."""
        try:
            self.queue.put_nowait((kind, int(values["step"]), flat(kind, values)))
        except Full:
            self._lose(f"{self.queue.maxsize:,} lines wait")

    def close(self, deadline: float) -> None:
        """Let it send what waits, until `deadline` (of `time.monotonic`), and say what was lost."""
        with suppress(Full):  # it hangs: counted below
            self.queue.put(None, timeout=max(0.0, deadline - time.monotonic()))
        self._thread.join(max(0.0, deadline - time.monotonic()))
        self._is_given_up = self._thread.is_alive()
        self.lost += self._is_given_up + self._drain()
        if self.lost:
            self.console.warn(f"{self.name}: {self.lost:,} lines were lost; metrics.jsonl has them all")

    def _drain(self) -> int:
        count = 0
        while True:
            try:
                count += self.queue.get_nowait() is not None
            except Empty:
                return count

    def _lose(self, why: str) -> None:
        self.lost += 1
        if self._warned.acquire(blocking=False):
            self.console.warn(f"{self.name}: {why}. Training goes on; what is lost will be counted")

    def _work(self, reporter: Reporter, job: Job, sent: Sent) -> None:
        channel: Channel | None = None
        while (line := self.queue.get()) is not None:
            kind, step, values = line
            if step <= sent.steps.get(kind, -1):
                continue
            try:
                if channel is None:
                    channel = reporter.open(_run(job, sent.handle))
                    sent.handle = channel.handle
                channel.write(step, values)
                if self._is_given_up:
                    return
                sent.steps[kind] = step
                sent.note()
            except Exception as error:  # noqa: BLE001  # a service's trouble is said and counted, and never training's
                self._lose(f"{type(error).__name__}: {str(error).partition(chr(10))[0]}")
        try:
            if channel is not None:
                channel.close()
        except Exception as error:  # noqa: BLE001  # likewise
            self.console.warn(f"{self.name}: {type(error).__name__}: {error}")


@dataclass(frozen=True)
class Reporting:
    """All reporters of a run."""

    feeds: Sequence[Feed] = ()

    @classmethod
    def of(cls, reporters: Sequence[Reporter], job: Job) -> Reporting:
        """Start them."""
        return cls([Feed(reporter, job) for reporter in reporters])

    def put(self, kind: str, values: Mapping[str, Any]) -> None:
        """Hand a line of the log to all."""
        for feed in self.feeds:
            feed.put(kind, values)

    def close(self) -> None:
        """Let them send what waits, for a while."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        for feed in self.feeds:
            feed.close(deadline)


def flat(kind: str, values: Mapping[str, Any]) -> dict[str, float]:
    """`{"train/loss": 2.3, "validation/accuracy": 0.4}`: the numbers of a line, also those of mappings in it."""
    named = {}
    for key, value in values.items():
        members = value.items() if isinstance(value, dict) else [(key, value)]
        named.update({f"{kind}/{name}": float(one) for name, one in members if one is not None and name != "step"})
    return named


def _run(job: Job, handle: str) -> ReportedRun:
    folder = job.reports if job.reports is not None else job.folder
    project = folder.parent.parent.name if job.reports is not None else "bmtool"
    return ReportedRun(
        name=f"{folder.name}-{job.fingerprint[:12]}",
        project=project,
        folder=folder,
        handle=handle,
        new_handle=f"{job.fingerprint[:12]}-{secrets.token_hex(3)}",
    )
