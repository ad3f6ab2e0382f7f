"""What each step of a pass took: CPU seconds, without those of compiling, and the bytes that it was done to."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from numba.core import event

if TYPE_CHECKING:
    from collections.abc import Iterator


class Clock:
    """CPU seconds of this thread and bytes of rows, by step."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.bytes: Counter[str] = Counter()
        self._compiling = _Compiling()

    @contextmanager
    def step(self, name: str, num_bytes: int = 0) -> Iterator[None]:
        """Count what happens inside under `name`, done to so many bytes."""
        compiled, started = self._compiling.seconds, time.thread_time()
        self.bytes[name] += num_bytes
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
