"""Sources as they are written in a file: the ending of a path says what reads it, unless it is said."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, SerializeAsAny

from bmtool.config.model import Choose, Component
from bmtool.data.readers.advice import TO_LINES
from bmtool.data.readers.unpack import PACKINGS
from bmtool.registry import SOURCES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bmtool.contracts import Source


class ChooseSource(Choose):
    """Reads `data/*.csv`, `docstrings`, `{path: ...}` or `{type: ..., ...}`: the type follows from the ending."""

    def mapping(self, value: Any) -> Any:
        """The long form, with `type`."""
        if isinstance(value, str):
            return {"type": value} if value in self.kind.names() else self.mapping({"path": value})
        if isinstance(value, dict) and "type" not in value:
            paths = value.get("path")
            first = paths[0] if isinstance(paths, list) and paths else paths
            found = self._by_ending(first) if isinstance(first, str) else None
            return {"type": found, **value} if found else value
        return value

    def texts(self) -> list[dict[str, Any]]:
        """A path whose ending says what it is."""
        return [{"type": "string", "pattern": _ending_pattern(self._endings())}]

    def unnamed(self, component: type[Component]) -> dict[str, Any] | None:
        """A path, or a list of them, whose first one's ending means this source."""
        endings = [ending for ending, name in self._endings().items() if name == component.name()]
        if not endings:
            return None
        path = {"type": "string", "pattern": _ending_pattern(endings)}
        paths = {"type": "array", "prefixItems": [path], "minItems": 1}
        return {"required": ["path"], "properties": {"path": {"anyOf": [path, paths]}}}

    def _by_ending(self, path: str) -> str | None:
        name = path.lower()
        for packing in PACKINGS:
            name = name.removesuffix(packing)
        return next((type_ for ending, type_ in self._endings().items() if name.endswith(ending)), None)

    def _endings(self) -> dict[str, str]:
        return {ending: name for name in self.kind.names() for ending in self.kind.load(name).suffixes}

    def _misshapen(self, value: Any) -> str:
        path = value.get("path") if isinstance(value, dict) else value
        first = path[0] if isinstance(path, list) and path else path
        if not isinstance(first, str) or (isinstance(value, dict) and "type" in value):
            return "expected a path, the name of a source, or a mapping with 'type' and its settings"
        name = "" if isinstance(value, dict) else f" and is no source ({', '.join(self.kind.names())})"
        lines = f". {TO_LINES}" if first.endswith(".json") else ""
        type_, matched = self._of_files(first)
        return (
            f"'{first}' has no known ending ({', '.join(self._endings())}){name}{matched}. "
            f"Say what it is: {{type: {type_}, path: {repr(first) if first == '-' else first}}}{lines}"
        )

    def _of_files(self, path: str) -> tuple[str, str]:
        """(a type to propose, what to say of the files there): those that a pattern matches or a folder holds.

        They are looked at for the advice alone: what a configuration means never depends on which files are there.
        """
        import glob
        import os

        place = os.path.expandvars(path)
        matches = glob.glob(f"{place}/*" if os.path.isdir(place) else place, recursive=True)  # noqa: PTH112, PTH207
        names = sorted(map(os.path.basename, matches))  # names alone: nothing is opened
        typed = [(name, type_) for name in names if (type_ := self._by_ending(name))]
        if not typed:
            return "jsonl", ""
        shown = ", ".join(f"{name} ({type_})" for name, type_ in typed[:3])
        more = f" and {len(typed) - 3:,} more" if len(typed) > 3 else ""
        types = sorted({type_ for _, type_ in typed})
        several = f". These are {' and '.join(types)}: write a source for each type" if len(types) > 1 else ""
        return types[0], f". There: {shown}{more}{several}"


def _ending_pattern(endings: Iterable[str]) -> str:
    """What matches a path with one of these endings, packed or not, in small letters or capitals."""

    def any_case(text: str) -> str:
        return "".join(
            f"[{char}{char.upper()}]" if char.isalpha() else f"\\{char}" if char == "." else char for char in text
        )

    return rf"({'|'.join(map(any_case, endings))})({'|'.join(map(any_case, PACKINGS))})*$"


_choose_source = ChooseSource(SOURCES)
if TYPE_CHECKING:
    OneSource = Source
else:
    OneSource = Annotated[SerializeAsAny[Component], BeforeValidator(_choose_source), _choose_source]
