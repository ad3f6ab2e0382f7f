"""What `bmtool doctor` found about one thing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bmtool.errors import MissingInputError

if TYPE_CHECKING:
    from bmtool.errors import BmtoolError


@dataclass(frozen=True)
class Finding:
    """A line: how it stands with `topic`, and what to do about it."""

    topic: str
    state: Literal["ok", "note", "problem"]
    """`note`: a run works, and this is worth knowing; `problem`: it doesn't work"""
    text: str
    advice: str = ""
    exit_code: int = 0
    """Of a problem, what a run would end with"""


def ok(topic: str, text: str) -> Finding:
    """As it should be."""
    return Finding(topic, "ok", text)


def note(topic: str, text: str, advice: str = "") -> Finding:
    """Worth knowing."""
    return Finding(topic, "note", text, advice)


def problem(topic: str, text: str, advice: str = "", *, exit_code: int = MissingInputError.exit_code) -> Finding:
    """A run doesn't work like this."""
    return Finding(topic, "problem", text, advice, exit_code)


def refused(topic: str, error: BmtoolError) -> Finding:
    """What a run would be ended by; the message says what to do."""
    return problem(topic, str(error), exit_code=error.exit_code)
