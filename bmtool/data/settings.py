"""Settings that `prepare` is made of: sources by their file's ending, splits, samples, limits."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

from pydantic import (
    BeforeValidator,
    NonNegativeInt,
    PositiveInt,
    SerializeAsAny,
    model_serializer,
    model_validator,
)

from bmtool.config.model import Choose, Component, Settings, explained
from bmtool.config.units import Count, Ratio
from bmtool.data.readers.advice import TO_LINES
from bmtool.data.readers.unpack import PACKINGS
from bmtool.errors import ConfigError, MissingInputError
from bmtool.registry import SOURCES

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

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


def joined_as_tuples(value: Any) -> Any:
    """Columns whose lists of names are tuples; what is checked behind another validator is strict about types."""
    if not isinstance(value, dict):
        return value
    return {name: tuple(theirs) if isinstance(theirs, list) else theirs for name, theirs in value.items()}


_choose_source = ChooseSource(SOURCES)
if TYPE_CHECKING:
    OneSource = Source
else:
    OneSource = Annotated[SerializeAsAny[Component], BeforeValidator(_choose_source), _choose_source]


class Split(Settings):
    """How rows are shared out, by a hash of the row's id or of a column's value. What is left is `train`."""

    validation: Ratio = 0.0
    test: Ratio = 0.0
    group: str | None = None
    """Rows with the same value in this column stay together; without it similar rows do, where they are looked for."""
    time: str | None = None
    """The latest rows by this column are test, those before them validation. Dates are best written as 2026-11-24."""
    stratify: str | None = None
    """A label: every value of it has to be in every split. No row is moved for it."""

    @model_validator(mode="after")
    def _leaves_no_less_than_nothing(self) -> Split:
        if self.validation + self.test > 1:
            raise explained(f"validation ({self.validation:g}) and test ({self.test:g}) are more than 1 together")
        if self.group is not None and self.time is not None:
            raise explained("rows are split by 'group' or by 'time', not by both", at="time")
        if self.time is not None and not self.validation + self.test:
            raise explained("has an effect only with a share for validation or test", at="time")
        return self

    def names(self) -> list[str]:
        """The splits that there are: those with a share above zero."""
        shares = {"train": 1 - self.test - self.validation, "validation": self.validation, "test": self.test}
        return [name for name, share in shares.items() if share > 1e-9]


class Sample(Settings):
    """Draw a few rows of each label: those with the smallest ids."""

    train_per_label: PositiveInt | None = None
    """Train rows of each label; for tasks with one label a row."""
    test_per_label: PositiveInt | None = None
    """Test rows of each label. The validation split is never drawn from."""
    seed: NonNegativeInt | None = None
    """Draws other train rows; test rows stay."""

    def per_label(self) -> dict[str, int | None]:
        """How many rows of each label, by split."""
        return {"train": self.train_per_label, "test": self.test_per_label}

    @model_validator(mode="after")
    def _draws_something(self) -> Sample:
        if self.train_per_label is None and self.test_per_label is None:
            raise explained("set train_per_label, test_per_label or both")
        return self


class Limits(Settings):
    """Gates on the data: exit 3 when they aren't met. The dataset is kept, for a look at it."""

    max_rejected: Ratio | None = None
    """Share of rows that could not be read"""
    min_rows: Count | None = None
    """Rows that have to come out"""
    max_dropped: Ratio | None = None
    """Share of readable rows that any rule drops"""
    max_dropped_by: dict[str, Ratio] = {}
    """The same for single rules: a reason such as `duplicate` or `c4`, or `c4.curly_bracket` for a part of one"""
    max_overlap: Ratio | None = None
    """Share of the rows of validation and test that have in train a similar row, or one that differs in a word"""


class KeyFile(Settings):
    """A file that holds a secret."""

    file: str

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        return {"file": value} if isinstance(value, str) else value

    @model_serializer
    def _as_written(self) -> str:
        return self.file

    def path(self) -> Path:
        """Where it is."""
        from pathlib import Path

        from bmtool.config.variables import expand

        return Path(expand(self.file))

    def read(self) -> bytes:
        """The secret, without white space at its ends.

        Raises:
            MissingInputError: it isn't there.
            ConfigError: it is too short to be a secret.
        """
        path = self.path()
        if not path.is_file():
            raise MissingInputError(f"scrub_key: {path}: there is no such file. Make one: openssl rand -hex 32 > FILE")
        key = path.read_bytes().strip()
        if len(key) < MIN_KEY_BYTES:
            raise ConfigError(
                f"scrub_key: {path} holds {len(key)} bytes; a secret needs {MIN_KEY_BYTES}. "
                "Make one: openssl rand -hex 32 > FILE"
            )
        return key


#: HMAC-SHA256 keys shorter than its output weaken it (RFC 2104, section 3).
MIN_KEY_BYTES = 32
