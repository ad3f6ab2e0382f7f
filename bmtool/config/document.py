"""A configuration in memory: plain values, each of which knows the file, line and column where it was written."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bmtool.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Iterator

KeyPath = tuple[str | int, ...]
"""Where a setting is: `("prepare", "corpus", "filters", 0)`."""


@dataclass(frozen=True, order=True)
class Place:
    """A position in a file, or a `--set`. Places sort in the order in which problems are shown."""

    rank: int
    """0 for the file itself, then its bases, then `--set`."""
    line: int
    """From 1; 0 for a `--set`, which has no lines."""
    column: int
    source: str

    def __str__(self) -> str:
        return f"{self.source}:{self.line}:{self.column}" if self.line else self.source


@dataclass(frozen=True)
class Problem:
    """Something wrong at a place of the configuration."""

    place: Place
    path: KeyPath
    text: str

    def __str__(self) -> str:
        # A --set says itself which key it is about.
        is_said = not self.place.line and self.place.source.startswith(f"--set {dotted(self.path)}=")
        named = "" if is_said else dotted(self.path)
        return f"{self.place}: {named}: {self.text}" if named else f"{self.place}: {self.text}"


@dataclass
class Node:
    """A value and where it was written: a scalar, a dict of nodes by key, or a list of nodes."""

    value: Any
    place: Place
    broken: bool = False
    """It was refused when it was read (a tag, an alias): nothing more is to be said about it."""

    def plain(self) -> Any:
        """The value without places."""
        if isinstance(self.value, dict):
            return {key: child.plain() for key, child in self.value.items()}
        return [child.plain() for child in self.value] if isinstance(self.value, list) else self.value

    def along(self, path: KeyPath) -> Iterator[Node]:
        """This node and the ones below it on the way along `path`, as far as it was written."""
        node = self
        yield node
        for key in path:
            inside = isinstance(node.value, dict) and key in node.value
            if not inside and not (isinstance(node.value, list) and isinstance(key, int) and key < len(node.value)):
                return
            node = node.value[key]
            yield node

    def place_of(self, path: KeyPath) -> Place:
        """Where the deepest written part of `path` stands."""
        *_, last = self.along(path)
        return last.place


@dataclass
class Document:
    """One file, or several merged ones, and what was wrong with their form."""

    root: Node
    problems: list[Problem] = field(default_factory=list)

    def problem(self, path: KeyPath, text: str) -> None:
        """Note that something is wrong at `path`, unless that place was refused already."""
        if not any(node.broken for node in self.root.along(path)):
            self.problems.append(Problem(self.root.place_of(path), path, text))

    def raise_problems(self) -> None:
        """Raise all problems in the order of their places, each once; nothing happens if there are none.

        Raises:
            ConfigError: one line a problem.
        """
        ordered = sorted(self.problems, key=lambda problem: problem.place)
        if ordered:
            raise ConfigError("\n".join(dict.fromkeys(map(str, ordered))))


def dotted(path: KeyPath) -> str:
    """`prepare.corpus.filters[0].min_chars`."""
    text = "".join(f"[{key}]" if isinstance(key, int) else f".{key}" for key in path)
    return text.removeprefix(".")
