"""The JSON Schema of a configuration, for editors: written down from the settings classes and the registry."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from bmtool.config.describe import describe, expects, words_for
from bmtool.config.model import LISTED, Choose, Component, NameOf, Settings, Written
from bmtool.config.shape import alternatives, below, is_mapping, members, settings_at
from bmtool.config.shared import Head
from bmtool.config.yaml import read_value

Schema = dict[str, Any]

DIALECT = "https://json-schema.org/draft/2020-12/schema"

_TYPES = {str: "string", int: "integer", float: "number", bool: "boolean", Path: "string", NoneType: "null"}

#: What limits are called in a type, and in the schema of numbers, texts and lists.
_LIMITS = {
    "number": {"gt": "exclusiveMinimum", "ge": "minimum", "lt": "exclusiveMaximum", "le": "maximum"},
    "string": {"min_length": "minLength", "max_length": "maxLength", "pattern": "pattern"},
    "array": {"min_length": "minItems", "max_length": "maxItems"},
}
_LIMITS["integer"] = _LIMITS["number"]


def json_schema(file: type[Settings], comment: str) -> Schema:
    """The schema of a file with the settings `file`: a head, and the sections that `file_model` adds to it.

    It is as strict as `bmtool check` about keys, types and names, and says nothing of what settings mean together. A
    file that extends another one needn't have what it takes from there.
    """
    walk = _Walk()
    schema = walk.mapping(Head)
    required: Schema = {}
    for name, annotation in members(file).items():
        if name not in Head.model_fields:
            schema["properties"][name] = walk.section(annotation)
            required |= {name: inside} if (inside := _required_inside(annotation)) else {}
    return {
        "$schema": DIALECT,
        "$comment": comment,
        **schema,
        "if": {"required": ["extends"]},
        "else": {"required": _required(Head), "properties": required},
        "$defs": dict(sorted(walk.defs.items())),
    }


@dataclass
class _Walk:
    """Collects the definitions that are referred to on the way."""

    defs: dict[str, Schema] = field(default_factory=dict)
    owners: dict[str, Any] = field(default_factory=dict)

    def of(self, annotation: Any) -> Schema:
        """What may stand where `annotation` reads a value."""
        origin, arguments = get_origin(annotation), get_args(annotation)
        if origin is Annotated:
            return self._annotated(annotation.__origin__, _notes(annotation))
        if origin in (Union, UnionType):
            return _any_of([self.of(branch) for branch in arguments])
        if origin is Literal:
            return {"enum": list(arguments)}
        if origin in (tuple, list, Sequence):
            return {"type": "array", "items": self.of(arguments[0])}
        if origin in (dict, Mapping):
            return {
                "type": "object",
                "propertyNames": self.of(arguments[0]),
                "additionalProperties": self.of(arguments[1]),
            }
        if isinstance(annotation, type) and issubclass(annotation, Settings):
            return self._reference(_name_of(annotation), annotation, lambda: self._section(annotation))
        return {"type": _TYPES[annotation]}

    def _annotated(self, inner: Any, notes: Sequence[Any]) -> Schema:
        choose = next((note for note in notes if isinstance(note, Choose)), None)
        if choose is not None:
            return self._reference(choose.kind.name, type(choose), lambda: self._component(choose))
        named = next((note for note in notes if isinstance(note, NameOf)), None)
        if named is not None:
            return _any_name(named)
        written = next((note for note in notes if isinstance(note, Written)), None)
        schema = self.of(inner if written is None else written.form)
        if LISTED in notes:
            schema = _any_of([schema["items"], schema])
        return _limited(schema, notes)

    def _reference(self, name: str, owner: Any, make: Any) -> Schema:
        if self.owners.setdefault(name, owner) != owner:
            raise AssertionError(f"two definitions are called '{name}': {self.owners[name]} and {owner}")
        if name not in self.defs:
            self.defs[name] = {}  # a class that holds itself ends here
            self.defs[name] = make()
        return {"$ref": f"#/$defs/{name}"}

    def _section(self, settings: type[Settings]) -> Schema:
        """A mapping of settings. What a section of the file must have is said at the top, where `extends` is seen."""
        schema = self.mapping(settings)
        required = _required(settings)
        return {**schema, "required": required} if required and not _is_section(settings) else schema

    def mapping(self, settings: type[Settings]) -> Schema:
        """The keys of settings, each with what may stand behind it."""
        properties = {}
        described = {one.name: one for one in describe(settings)}
        for key, annotation in members(settings).items():
            one = described[key]
            schema = self.of(annotation) if one.is_required else _or_null(self.of(annotation))
            default = {} if one.default in ("", "null") else {"default": _value(one.default)}
            properties[key] = {"description": _said(one.text, annotation), **schema, **default}
        doc = {"description": inspect.cleandoc(settings.__doc__)} if settings.__doc__ else {}
        return {**doc, "type": "object", "properties": properties, "additionalProperties": False}

    def section(self, annotation: Any) -> Schema:
        """A section of the file; with nothing behind its key it sets nothing, where there is nothing it must set."""
        [schema] = [self.of(branch) for branch in alternatives(annotation)]
        settings = _settings_in(annotation)
        can_be_empty = is_mapping(annotation) or not _required(settings)
        return {
            "description": inspect.cleandoc(settings.__doc__ or ""),
            **(_or_null(schema) if can_be_empty else schema),
        }

    def _component(self, choose: Choose) -> Schema:
        """A component's name, or a mapping with it and its settings."""
        kind = choose.kind
        names: list[Schema] = []
        mappings = [self.of(other) for other in choose.others()]
        for name in kind.names():
            component = kind.load(name)
            if not _required(component):
                names.append({"const": name, "description": kind.summary(name)})
            mappings.append(self._reference(f"{kind.name}.{name}", component, lambda: self._named(choose, component)))  # noqa: B023
        return {"anyOf": [*names, *choose.texts(), *mappings]}

    def _named(self, choose: Choose, component: type[Component]) -> Schema:
        schema = self.mapping(component)
        key = {choose.key: {"const": component.name(), "description": f"The {choose.kind.name}."}}
        unnamed, required = choose.unnamed(component), _required(component)
        named = {"required": [choose.key, *required]}
        how = named if unnamed is None else {"anyOf": [named, unnamed]}
        return {**schema, "properties": {**key, **schema["properties"]}, **how}


def _said(text: str, annotation: Any) -> str:
    """What a setting is; and what it expects, where that has words of its own or nothing else is said."""
    expected = words_for(annotation) or ("" if text else expects(annotation))
    return " ".join(filter(None, [text, expected and f"{expected[0].upper()}{expected[1:]}."]))


def _is_section(settings: Any) -> bool:
    return isinstance(settings, type) and settings.__module__.startswith("bmtool.stages.")


def _name_of(settings: type[Settings]) -> str:
    """`pretrain` of a stage's settings, `Split` of others."""
    return settings.__module__.rpartition(".")[2] if _is_section(settings) else settings.__name__


def _required(settings: type[Settings]) -> list[str]:
    return [info.alias or name for name, info in settings.model_fields.items() if info.is_required()]


def _notes(annotation: Any) -> list[Any]:
    """All notes, those inside of `Field(...)` too."""
    return [inner for note in annotation.__metadata__ for inner in getattr(note, "metadata", [note])]


def _settings_in(annotation: Any) -> type[Settings]:
    """The settings of a section, or those of each dataset in one."""
    inner = below(annotation, None, "name of a dataset") if is_mapping(annotation) else annotation
    settings = settings_at(inner, None)
    if settings is None:
        raise AssertionError(f"{annotation} is no section")
    return settings


def _required_inside(annotation: Any) -> Schema:
    """What a section must have, or each dataset in one."""
    required = _required(_settings_in(annotation))
    inside: Schema = {"required": required} if required else {}
    return {"additionalProperties": inside} if is_mapping(annotation) and inside else inside


def _limited(schema: Schema, notes: Sequence[Any]) -> Schema:
    """`schema` with the limits among `notes`, as each of its alternatives calls them."""
    if "anyOf" in schema:
        return {"anyOf": [_limited(branch, notes) for branch in schema["anyOf"]]}
    words = _LIMITS.get(schema.get("type", ""), {})
    limits = {
        word: value
        for name, word in words.items()
        for note in notes
        if (value := getattr(note, name, None)) is not None
    }
    return {**schema, **limits}


def _any_of(branches: Sequence[Schema]) -> Schema:
    """One of several, as plainly as it can be said."""
    flat = [inner for branch in branches for inner in (branch["anyOf"] if set(branch) == {"anyOf"} else [branch])]
    distinct = [branch for place, branch in enumerate(flat) if branch not in flat[:place]]
    if len(distinct) == 1:
        return distinct[0]
    return {"anyOf": distinct}


def _or_null(schema: Schema) -> Schema:
    """Null means "not given"."""
    if isinstance(schema.get("type"), str):
        return {**schema, "type": [schema["type"], "null"]}
    if "enum" in schema:
        return {**schema, "enum": [*schema["enum"], None]}
    return _any_of([schema, {"type": "null"}])


def _any_name(named: NameOf) -> Schema:
    names = named.kind.names()
    schema: Schema = {"enum": names}
    return (
        {"anyOf": [schema, {"type": "string", "pattern": rf"\.({'|'.join(names)})$"}]}
        if named.behind_a_task
        else schema
    )


def _value(default: str) -> Any:
    """A default as a value; it is described as it would stand in a file."""
    return read_value(default, rank=0, source="").root.plain()
