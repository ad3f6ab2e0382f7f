"""Errors that a user can cause and mend, each with its exit code. Any other exception is our bug."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class BmtoolError(Exception):
    """A problem that the user can mend; the command line prints it without a traceback."""

    exit_code = 1


class ConfigError(BmtoolError):
    """The configuration or the command is wrong; nothing has been run."""

    exit_code = 2


class GateError(BmtoolError):
    """A gate was not met: the work is done and recorded, and it isn't good enough."""

    exit_code = 3


class DivergedError(BmtoolError):
    """Training diverged and could not be brought back."""

    exit_code = 4


class DataError(BmtoolError):
    """Bad data, or an artifact that doesn't match its manifest."""

    exit_code = 65


class MissingInputError(BmtoolError):
    """An input isn't there, or is of the wrong kind."""

    exit_code = 66


class StorageError(BmtoolError):
    """Disk full or a device error; the last good state is kept."""

    exit_code = 74


class TryAgainError(BmtoolError):
    """Locked by another run, or stopped with its state saved: the same command goes on later."""

    exit_code = 75


class RefusedError(BmtoolError):
    """Refused for safety: remote code, pickle, a path outside, a bomb."""

    exit_code = 77


class StoppedError(BmtoolError):
    """Interrupted by Ctrl-C with its state saved."""

    exit_code = 130


def stopped(reason: str, saved: str) -> BmtoolError:
    """The error that ends a stopped run: 130 after Ctrl-C, else 75. `saved` says what is kept."""
    text = f"stopped by {reason}; {saved}. The same command goes on from there"
    return StoppedError(text) if reason == "Ctrl-C" else TryAgainError(text)


def close_to(word: str, known: Iterable[str]) -> str:
    """The known word that `word` is most like, or the empty string."""
    return next(iter(difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)), "")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ` Did you mean 'x'?` for the closest known word, or the empty string."""
    match = close_to(word, known)
    return f" Did you mean '{match}'?" if match else ""
