"""Settings as plain JSON values, from which another process of ours builds the same ones. No code goes along."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

from bmtool.config.model import Settings

#: Settings are built from our own classes only: a name from elsewhere is refused.
_PACKAGE = __name__.partition(".")[0]


def to_plain(settings: Settings) -> Any:
    """The class's name and what was set; defaults are the same in the other process.

    YAML can't be used for that: a shorthand such as `500 steps` is an object once it was read.

    Raises:
        AssertionError: a setting holds something that can't be carried.
    """
    plain = _plain(settings)
    if from_plain(plain) != settings:
        raise AssertionError(f"{type(settings).__qualname__} would arrive as other settings")
    return plain


def from_plain(plain: Any) -> Any:
    """The settings that `to_plain` was given."""
    if isinstance(plain, list):
        return tuple(from_plain(member) for member in plain)
    if not isinstance(plain, dict):
        return plain
    kind, value = plain["kind"], plain["value"]
    if kind == "path":
        return Path(value)
    members = {name: from_plain(member) for name, member in value.items()}
    return members if kind == "dict" else _class(kind).model_construct(_fields_set=set(members), **members)


def _plain(value: Any) -> Any:
    if isinstance(value, Settings):
        names = sorted(value.model_fields_set)
        kind = f"{type(value).__module__}:{type(value).__qualname__}"
        return {"kind": kind, "value": {name: _plain(getattr(value, name)) for name in names}}
    if isinstance(value, dict):
        return {"kind": "dict", "value": {name: _plain(member) for name, member in value.items()}}
    if isinstance(value, tuple | list):
        return [_plain(member) for member in value]
    if isinstance(value, Path):
        return {"kind": "path", "value": str(value)}
    if not isinstance(value, str | int | float | bool | None):
        raise AssertionError(f"a {type(value).__name__} can't be told to another process")
    return value


def _class(kind: str) -> type[Settings]:
    module, _, name = kind.partition(":")
    found = getattr(importlib.import_module(module), name) if module.partition(".")[0] == _PACKAGE else None
    if not (isinstance(found, type) and issubclass(found, Settings)):
        raise TypeError(f"'{kind}' is no settings class of {_PACKAGE}")
    return found
