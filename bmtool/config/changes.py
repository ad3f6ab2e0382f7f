"""Name what differs between two configurations, so that a stage can say why it runs again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bmtool.config.document import dotted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bmtool.config.document import KeyPath

#: Beyond so many differences the rest is counted.
_NAMED = 3
_SHOWN_CHARS = 40
_ABSENT = object()


def what_changed(old: dict[str, Any], new: dict[str, Any]) -> str | None:
    """`prepare.corpus.filters[0].min_chars 100 -> 200, pretrain.seed 1 -> 2 and 4 more`; None if they are equal."""
    found = changes(old, new)
    if not found:
        return None
    named = ", ".join(f"{dotted(path)} {brief(a)} -> {brief(b)}" for path, a, b in found[:_NAMED])
    more = len(found) - _NAMED
    return f"{named} and {more} more" if more > 0 else named


def changes(old: dict[str, Any], new: dict[str, Any]) -> list[tuple[KeyPath, Any, Any]]:
    """(where, before, after) of each setting that differs; None for one that isn't there."""
    found = _changes(old, new, ())
    return [(path, None if a is _ABSENT else a, None if b is _ABSENT else b) for path, a, b in found]


def _changes(old: Any, new: Any, path: KeyPath) -> Iterator[tuple[KeyPath, Any, Any]]:
    if isinstance(old, dict) and isinstance(new, dict) and old.get("type") == new.get("type"):
        for key in [*old, *(key for key in new if key not in old)]:
            yield from _changes(old.get(key, _ABSENT), new.get(key, _ABSENT), (*path, key))
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (before, after) in enumerate(zip(old, new, strict=True)):
            yield from _changes(before, after, (*path, index))
    elif old is _ABSENT or new is _ABSENT or old != new or isinstance(old, bool) != isinstance(new, bool):
        yield path, old, new


def brief(value: Any) -> str:
    """A value in a few characters; a component by its name."""
    if value is None:
        return "not set"
    if isinstance(value, dict):
        text = str(value.get("type", "{" + ", ".join(value) + "}"))
    elif isinstance(value, list):
        text = f"[{', '.join(map(brief, value))}]"
    else:
        text = str(value).lower() if isinstance(value, bool) else str(value)
    return text if len(text) <= _SHOWN_CHARS else f"{text[: _SHOWN_CHARS - 3]}..."
