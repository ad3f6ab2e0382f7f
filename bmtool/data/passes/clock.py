"""What each step of a pass took: CPU seconds, and the bytes that it was done to."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class Clock:
    """CPU seconds of this thread and bytes of rows, by step."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self.bytes: Counter[str] = Counter()

    @contextmanager
    def step(self, name: str, num_bytes: int = 0) -> Iterator[None]:
        """Count what happens inside under `name`, done to so many bytes."""
        started = time.thread_time()
        self.bytes[name] += num_bytes
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.thread_time() - started
