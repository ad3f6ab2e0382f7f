"""Strict, frozen settings and the components that are chosen by name in YAML."""

from __future__ import annotations

import json
from itertools import zip_longest
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self, TypeVar, get_args, get_origin

from pydantic import BaseModel, BeforeValidator, ConfigDict, SerializeAsAny, ValidationError, model_serializer
from pydantic_core import PydanticCustomError

from bmtool.errors import ConfigError

if TYPE_CHECKING:
    from pydantic import SerializerFunctionWrapHandler

    from bmtool.registry import Kind


class Marker:
    """A note on a setting, placed in `Annotated[...]`."""

    def __init__(self, name: str) -> None:
        """Name the note."""
        self.name = name


class Words:
    """What a setting expects, in words for the user; placed in `Annotated[...]` where the type doesn't say it."""

    def __init__(self, text: str) -> None:
        """`a duration such as 10m`."""
        self.text = text


class Written:
    """What a file may hold for a setting, as a type; placed in `Annotated[...]` where the setting's own says less."""

    def __init__(self, form: Any) -> None:
        """`float | Percent`."""
        self.form = form


class NameOf:
    """Says of a text that it names a component of `kind`; placed in `Annotated[...]`."""

    def __init__(self, kind: Kind, *, behind_a_task: bool = False) -> None:
        """With `behind_a_task` a task's name and a dot may stand before it."""
        self.kind = kind
        self.behind_a_task = behind_a_task


#: Marks a setting that decides *how* something is made and not *what* is made: it is no part of the fingerprint.
#: References to inputs carry it too: their resolved identity is in the fingerprint, not the way they were written.
HOW = Marker("how")


class Settings(BaseModel):
    """Base of every section of a configuration: frozen, strict about types, no unknown keys."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        strict=True,
        allow_inf_nan=False,
        populate_by_name=True,
        serialize_by_alias=True,
        # Most classes are only ever read as a part of another one: their own validator would be built for nothing.
        defer_build=True,
    )

    exclusive: ClassVar[tuple[tuple[str, ...], ...]] = ()
    """Groups of keys of which one replaces the others when `--set` or an extending file sets it."""

    def in_little(self) -> Self:
        """A section as a smoke run has it (`bmtool.config.smoke`). Most are the same."""
        return self


class Component(Settings):
    """Settings with behaviour. Its name in YAML is the name of the file that defines it."""

    @classmethod
    def name(cls) -> str:
        """The name that YAML uses."""
        return cls.__module__.rpartition(".")[2]

    def extras(self) -> tuple[str, ...]:
        """The extras (`bmtool.config.extras`) that it needs with these settings; most need none."""
        return ()

    @model_serializer(mode="wrap")
    def _with_type(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {"type": self.name(), **dump(self)}


S = TypeVar("S", bound=Settings)


def explained(text: str, *, at: str | None = None) -> PydanticCustomError:
    """A validation error whose message is final: shown to the user as it is.

    `at` is the key to blame when a check over a whole section fails; without it, the section is.
    """
    return PydanticCustomError("explained", "{text}", {"text": text} | ({"at": at} if at else {}))


#: Longer values are cut in messages.
_SHOWN_CHARS = 60


def shown(value: Any) -> str:
    """A value as it may stand in a message."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict | list):
        return "a mapping" if isinstance(value, dict) else "a list"
    text = str(value)
    text = text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}..."
    return f"'{text}'" if isinstance(value, str) else text


def validate(model: type[S], value: Any) -> S:
    """Build `model` from plain YAML values.

    Raises:
        ValidationError: every message is one for the user; `bmtool.config.check` adds the places.
    """
    try:
        # JSON mode is strict about types, yet reads a list as a tuple and text as a Path, as YAML needs.
        return model.model_validate_json(json.dumps(value), by_name=False)
    except ValidationError as error:
        from bmtool.config.explain import in_words  # only a faulty file needs it

        raise in_words(error, model, value) from None


class Choose:
    """Annotation that turns `length`, or `{type: length, min_chars: 5}`, into the component of that name."""

    def __init__(self, kind: Kind, key: str = "type") -> None:
        """Choose among `kind`; `key` is the YAML key that names the component."""
        self.kind = kind
        self.key = key

    def mapping(self, value: Any) -> Any:
        """The long form of the short one: `length` to `{type: length}`."""
        return {self.key: value} if isinstance(value, str) else value

    def component(self, value: Any) -> type[Component] | None:
        """The class that `value` chooses; None where it chooses none."""
        settings = self.mapping(value)
        name = settings.get(self.key) if isinstance(settings, dict) else None
        return self.kind.load(name) if isinstance(name, str) and name in self.kind.names() else None

    def __call__(self, value: Any) -> Any:
        """Validate one YAML value."""
        if isinstance(value, Component):
            return value
        settings = self.mapping(value)
        if not isinstance(settings, dict) or not isinstance(settings.get(self.key), str):
            raise explained(self._misshapen(value))
        try:
            component = self.kind.load(settings[self.key])
        except ConfigError as error:
            from bmtool.config.aliases import value_for

            meant = value_for(settings[self.key], self.kind.names())
            text = f"unknown {self.kind.name} '{settings[self.key]}'. Did you mean '{meant}'?" if meant else str(error)
            raise explained(text, at=None if isinstance(value, str) else self.key) from None
        built: Any = validate(component, {key: v for key, v in settings.items() if key != self.key})
        return built

    def _misshapen(self, value: Any) -> str:
        if isinstance(value, dict) and len(value) == 1 and next(iter(value)) in self.kind.names():
            name = next(iter(value))
            return f"write {{{self.key}: {name}, ...}}: the name of a {self.kind.name} is the value of '{self.key}'"
        return f"expected the name of a {self.kind.name}, or a mapping with '{self.key}: NAME'"

    def texts(self) -> list[dict[str, Any]]:
        """Texts besides the names of components that are read, as JSON Schemas."""
        return []

    def unnamed(self, component: type[Component]) -> dict[str, Any] | None:
        """What a mapping holds that means `component` without naming it, as JSON Schema; None: it has to be named."""
        del component
        return None

    def others(self) -> tuple[type[Settings], ...]:
        """Settings besides those of components that are read."""
        return ()


def chosen(kind: Kind, key: str = "type") -> Any:
    """The field type of a component of `kind`: `filter: chosen(FILTERS)`."""
    choose = Choose(kind, key)
    return Annotated[SerializeAsAny[Component], BeforeValidator(choose), choose]


def as_list(value: Any) -> Any:
    """One value where a list may stand; a tuple, as what follows is strict about types."""
    if isinstance(value, str | dict | Component):
        return (value,)
    return tuple(value) if isinstance(value, list) else value


#: Reads a list of which one member may stand alone: `Annotated[tuple[OneFilter, ...], LISTED]`.
LISTED = BeforeValidator(as_list)


def what(value: Any) -> Any:
    """The part of settings that decides what is made, as plain JSON values: no HOW settings, no defaults.

    Defaults are left out so that a later version that adds a setting doesn't make every artifact stale; a change of a
    default's value raises the stage's version instead.
    """
    if isinstance(value, Settings):
        out: dict[str, Any] = {"type": value.name()} if isinstance(value, Component) else {}
        for name, field in type(value).model_fields.items():
            member = getattr(value, name)
            if HOW not in field.metadata and member != field.get_default(call_default_factory=True):
                out[field.alias or name] = what(member)
        return out
    if isinstance(value, dict):
        return {key: what(member) for key, member in value.items()}
    if isinstance(value, tuple | list):
        return [what(member) for member in value]
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def without_how(settings: Any, plain: Any) -> Any:
    """`plain`, a dump of `settings` or of others of the same class, without what they mark HOW."""
    if isinstance(settings, Settings) and isinstance(plain, dict):
        members = {field.alias or name: (name, field) for name, field in type(settings).model_fields.items()}
        how = {key for key, (_, field) in members.items() if HOW in field.metadata}
        own = {key: getattr(settings, name) for key, (name, _) in members.items()}
        return {key: without_how(own.get(key), value) for key, value in plain.items() if key not in how}
    if isinstance(settings, tuple | list) and isinstance(plain, list):
        return [without_how(member, value) for member, value in zip_longest(settings, plain)][: len(plain)]
    return plain


def chooser_of(annotation: Any, metadata: list[Any]) -> Choose | None:
    """The `Choose` behind a field, also inside a tuple, a dict or an optional; None for plain settings."""
    for note in metadata:
        if isinstance(note, Choose):
            return note
    for inner in get_args(annotation):
        if get_origin(annotation) is Annotated:
            return chooser_of(inner, list(annotation.__metadata__))
        found = chooser_of(inner, [])
        if found:
            return found
    return None


__all__ = [
    "HOW",
    "LISTED",
    "Choose",
    "Component",
    "NameOf",
    "Settings",
    "ValidationError",
    "Words",
    "Written",
    "as_list",
    "chooser_of",
    "chosen",
    "explained",
    "shown",
    "validate",
    "what",
    "without_how",
]
