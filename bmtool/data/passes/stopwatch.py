"""Measures what steps cost in processor time, leaving out what is done only once a process: compiling with numba."""

from __future__ import annotations

import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from numba.core import event

if TYPE_CHECKING:
    from collections.abc import Iterator


class Stopwatch:
    """CPU seconds of this thread, by step."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._compiling = _Compiling()

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Count what happens inside under `name`."""
        compiled, started = self._compiling.seconds, time.thread_time()
        try:
            with event.install_listener("numba:compile", self._compiling):
                yield
        finally:
            spent = time.thread_time() - started - (self._compiling.seconds - compiled)
            self.seconds[name] = self.seconds.get(name, 0.0) + spent


class _Compiling(event.Listener):
    """CPU seconds in which numba compiled; a function that is compiled for another one belongs to that."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.started: list[float] = []

    def on_start(self, event: Any) -> None:
        del event
        self.started.append(time.thread_time())

    def on_end(self, event: Any) -> None:
        del event
        started = self.started.pop()
        if not self.started:
            self.seconds += time.thread_time() - started
