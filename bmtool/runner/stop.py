"""Stopping: signals and `--max-time` ask the stage to save its state; one that doesn't listen is ended soon."""

from __future__ import annotations

import signal
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from bmtool.errors import stopped

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

#: What each signal is called.
REASONS = {
    signal.SIGINT: "Ctrl-C",
    signal.SIGTERM: "SIGTERM",
    signal.SIGUSR1: "SIGUSR1",
    signal.SIGHUP: "SIGHUP (the terminal is gone)",
}

#: A stage that doesn't look at the request for so long is ended; it has nothing to save beyond what is on the disk.
GRACE_SECONDS = 3

#: One that looked twice before, such as training after each step, is given so many times the time between its looks.
GRACE_LOOKS = 3


def heard() -> list[signal.Signals]:
    """The signals that are listened to: of a hangup `nohup` says that it is to be ignored."""
    return [one for one in REASONS if one != signal.SIGHUP or signal.getsignal(one) != signal.SIG_IGN]


class StopRequest:
    """Why to stop, once there is a reason. To read it is to promise to stop soon."""

    def __init__(self, max_seconds: float | None = None) -> None:
        """Ask by itself after `max_seconds`."""
        self.max_seconds = max_seconds
        self._reason = ""
        self._looked_at: float | None = None
        self._interval = 0.0
        """Seconds between the last two looks."""
        self._is_beginning = False

    @property
    def reason(self) -> str:
        """Empty while there is none. A stage that has read one isn't ended by force any more."""
        now = time.monotonic()
        if self._looked_at is not None:
            self._interval = now - self._looked_at
        self._looked_at = now
        if self._reason:
            signal.setitimer(signal.ITIMER_REAL, 0)
        return self._reason

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Listen to SIGINT, SIGTERM, SIGUSR1, SIGHUP and the clock, as long as the block runs."""
        before = {number: signal.signal(number, self._on_signal) for number in [*heard(), signal.SIGALRM]}
        if self.max_seconds is not None:
            signal.setitimer(signal.ITIMER_REAL, self.max_seconds)
        try:
            yield
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            for number, handler in before.items():
                signal.signal(number, handler)

    @contextmanager
    def lent(self) -> Iterator[float | None]:
        """Leave signals and clock to what runs in the block; yields the seconds that `max_seconds` has left."""
        left = signal.setitimer(signal.ITIMER_REAL, 0)[0]
        handlers = {number: signal.getsignal(number) for number in heard()}
        end = time.monotonic() + left
        try:
            yield left or None
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
            if left:
                signal.setitimer(signal.ITIMER_REAL, max(0.001, end - time.monotonic()))

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """In the block, where nothing is made yet, a signal is the end: there is nothing to save."""
        self._is_beginning = True
        try:
            yield
        finally:
            self._is_beginning = False

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        del frame
        was_asked = bool(self._reason)
        self._reason = self._reason or REASONS.get(signal.Signals(number), "--max-time")
        if self._is_beginning and number == signal.SIGINT:
            raise KeyboardInterrupt  # which no library catches
        if was_asked or self._is_beginning:  # a second Ctrl-C, or the grace is over
            raise stopped(self._reason, "what was on the disk is kept")
        signal.setitimer(signal.ITIMER_REAL, max(GRACE_SECONDS, GRACE_LOOKS * self._interval))
