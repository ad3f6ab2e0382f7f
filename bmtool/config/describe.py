"""Describe settings for people: what a setting expects, its default, its documentation, and an example."""

from __future__ import annotations

import ast
import functools
import inspect
import itertools
import textwrap
from dataclasses import dataclass
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

from bmtool.config.model import Choose, Component, Settings, Words
from bmtool.config.shape import alternatives, members
from bmtool.config.units import Interval


@dataclass(frozen=True)
class Described:
    """One setting."""

    name: str
    expects: str
    default: str
    """As it would stand in the file; empty for a required setting."""
    text: str

    @property
    def is_required(self) -> bool:
        """Whether it must be given."""
        return not self.default


_NOUNS: dict[Any, str] = {
    str: "text",
    int: "a whole number",
    float: "a number",
    bool: "true or false",
    Path: "a path",
    dict: "a mapping",
    list: "a list",
}


def describe(settings: type[Settings]) -> list[Described]:
    """The settings of a class in the order in which they are written there."""
    texts = _documentation(settings)
    out = []
    for (key, annotation), (name, info) in zip(members(settings).items(), settings.model_fields.items(), strict=True):
        default = "" if info.is_required() else flow(info.get_default(call_default_factory=True))
        text = info.description or texts.get(name, "")
        out.append(Described(key, expects(annotation), default, " ".join(text.split())))
    return out


def expects(annotation: Any) -> str:
    """`a whole number above 0`, `a list of names of a filter`."""
    words = words_for(annotation)
    if words:
        return words
    names: list[str] = []
    for choice in alternatives(annotation):
        names += _options(choice)
    text = listing(list(dict.fromkeys(names)))
    limits = _limits(annotation)
    return f"{text} {limits}" if limits else text


def listing(words: list[str]) -> str:
    """`a, b or c`."""
    return "".join(words) if len(words) < 2 else f"{', '.join(words[:-1])} or {words[-1]}"


def words_for(annotation: Any) -> str:
    """What a setting says itself that it expects (`Words`); empty where its type says it."""
    if get_origin(annotation) is not Annotated:
        branches = [branch for branch in get_args(annotation) if branch is not NoneType]
        optional = len(branches) == 1 and NoneType in get_args(annotation)
        return words_for(branches[0]) if optional else ""
    said = [note.text for note in annotation.__metadata__ if isinstance(note, Words)]
    return said[-1] if said else words_for(annotation.__origin__)


def _options(choice: Any) -> list[str]:
    origin = get_origin(choice) or choice
    if isinstance(choice, Choose):
        return [f"{'an' if choice.kind.name[0] in 'aeiou' else 'a'} {choice.kind.name}"]
    if origin is Literal:
        return [flow(option) for option in get_args(choice)]
    if origin in (list, tuple):
        inner = [argument for argument in get_args(choice) if argument is not Ellipsis]
        return [f"a list of {_plural(inner[0])}" if len(inner) == 1 else "a list"]
    if isinstance(origin, type) and issubclass(origin, Settings):
        return [f"a mapping of {', '.join(members(origin))}"]
    return [_NOUNS.get(origin, "another value")]


def _plural(annotation: Any) -> str:
    only = next(alternatives(annotation), None)
    if isinstance(only, Choose):
        return only.kind.plural
    words = expects(annotation)
    return words.replace("a mapping of", "mappings of").removeprefix("a ")


_LIMITS = {"gt": "above", "ge": "from", "lt": "below", "le": "to"}


def _limits(annotation: Any) -> str:
    """`from 8 to 8192`, from the limits in the type."""
    found = [(word, getattr(note, name, None)) for name, word in _LIMITS.items() for note in _notes(annotation)]
    return " ".join(f"{word} {limit}" for word, limit in found if limit is not None)


def _notes(annotation: Any) -> list[Any]:
    if get_origin(annotation) is Annotated:
        inner = [note for n in annotation.__metadata__ for note in getattr(n, "metadata", [n])]
        return [*_notes(annotation.__origin__), *inner]
    branches = [branch for branch in get_args(annotation) if branch is not NoneType]
    return _notes(branches[0]) if len(branches) == 1 and NoneType in get_args(annotation) else []


def flow(value: Any) -> str:
    """A value on one line as YAML."""
    import yaml

    if isinstance(value, Interval):
        return f"{value.steps} steps" if value.steps else f"{value.seconds / 60:g}m" if value.seconds else "null"
    if isinstance(value, Settings):
        value = value.model_dump(mode="json", by_alias=True, exclude_none=True)
    if isinstance(value, tuple | list):
        value = [v.model_dump(mode="json", by_alias=True) if isinstance(v, Settings) else v for v in value]
    if isinstance(value, Path):
        value = str(value)
    if isinstance(value, float) and value.is_integer() is False:
        return f"{value:g}"
    text = yaml.safe_dump(value, default_flow_style=True, allow_unicode=True, width=10**6, sort_keys=False)
    return text.removesuffix("\n").removesuffix("\n...")


@functools.cache
def _documentation(settings: type[Settings]) -> dict[str, str]:
    """The docstring below each setting, read from the source of the class and of its bases."""
    out: dict[str, str] = {}
    for base in reversed(settings.__mro__):
        if not issubclass(base, Settings) or base in (Settings, Component):
            continue
        body: Any = ast.parse(textwrap.dedent(inspect.getsource(base))).body[0]
        for statement, following in itertools.pairwise(body.body):
            if isinstance(statement, ast.AnnAssign) and isinstance(following, ast.Expr):
                text = getattr(following.value, "value", None)
                if isinstance(text, str):
                    out[ast.unparse(statement.target)] = text
    return out


def example(component: type[Component], key: str = "type") -> str:
    """A component as it may stand in a file, on one line: its name, or what it needs and two more of its own settings.

    A setting with `Field(examples=[...])` is shown with the first of them.
    """
    written = []
    optional = 0
    for described, (name, info) in zip(describe(component), component.model_fields.items(), strict=True):
        is_own = name in vars(component).get("__annotations__", {})
        if info.is_required() or info.examples:
            sample = _sample(component, info, described)
            written.append(f"{described.name}: {sample}")
        elif is_own and described.default not in ("null", "[]", "{}", "''") and optional < 2:
            optional += 1
            written.append(f"{described.name}: {described.default}")
    return f"{{{key}: {component.name()}, {', '.join(written)}}}" if written else component.name()


def _sample(component: type[Component], info: Any, described: Described) -> str:
    """A value for a required setting: the author's `Field(examples=[...])`, else one of the right type."""
    suffixes = getattr(component, "suffixes", ())
    if info.examples:
        return flow(info.examples[0])
    if suffixes and described.name == "path":
        return f"data/*{suffixes[0]}"
    words = described.expects
    return "1" if "number" in words else "true" if words.startswith("true") else "[text]" if "list" in words else "text"
