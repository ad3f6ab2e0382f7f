"""What may stand at a place of a configuration, read off the annotations of the settings classes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin

from bmtool.config.model import Choose, Settings

if TYPE_CHECKING:
    from bmtool.config.document import KeyPath


def members(settings: type[Settings]) -> dict[str, Any]:
    """The annotation of each setting by the key that YAML uses."""
    return {
        field.alias or name: Annotated[field.annotation, *field.metadata] if field.metadata else field.annotation
        for name, field in settings.model_fields.items()
    }


def alternatives(annotation: Any) -> Iterator[Any]:
    """What a value may be: classes and generic types, a `Choose` for a component; nothing for null."""
    origin = get_origin(annotation)
    if origin is Annotated:
        chooses = [note for note in annotation.__metadata__ if isinstance(note, Choose)]
        yield from chooses or alternatives(annotation.__origin__)
    elif origin in (Union, UnionType):
        for branch in get_args(annotation):
            yield from alternatives(branch)
    elif annotation is not NoneType:
        yield annotation


def chooser(annotation: Any) -> Choose | None:
    """The `Choose` that reads a value at this place itself, not one inside a list or a mapping."""
    return next((choice for choice in alternatives(annotation) if isinstance(choice, Choose)), None)


def settings_at(annotation: Any, value: Any) -> type[Settings] | None:
    """The settings class that reads `value` where `annotation` stands; None where a plain value is read."""
    for choice in alternatives(annotation):
        if isinstance(choice, Choose):
            return choice.component(value)
        if isinstance(choice, type) and issubclass(choice, Settings):
            return choice
        if _is_list(choice) and not isinstance(value, list):  # one value where a list may stand
            return settings_at(get_args(choice)[0], value)
    return None


def below(annotation: Any, value: Any, key: str | int) -> Any:
    """The annotation of `value[key]` where `annotation` reads `value`; None where nothing is known."""
    for choice in alternatives(annotation):
        if get_origin(choice) in (dict, Mapping) and isinstance(key, str):
            return get_args(choice)[1]
        if _is_list(choice):
            inner = get_args(choice)[0]
            return inner if isinstance(key, int) else below(inner, value, key)
    settings = settings_at(annotation, value)
    if settings is None:
        return None
    extra = {c.key: str for c in alternatives(annotation) if isinstance(c, Choose)}
    return (extra | members(settings)).get(str(key))


def at(annotation: Any, value: Any, path: KeyPath) -> tuple[Any, Any]:
    """The annotation and the value at the end of `path`, None for what isn't known or wasn't written."""
    for key in path:
        annotation = below(annotation, value, key) if annotation is not None else None
        inside = isinstance(value, dict) and key in value
        inside = inside or (isinstance(value, list) and isinstance(key, int) and key < len(value))
        value = value[key] if inside else None
    return annotation, value


def is_mapping(annotation: Any) -> bool:
    """Whether names that the user chooses stand at this place, such as those of datasets."""
    return any(get_origin(choice) in (dict, Mapping) for choice in alternatives(annotation))


def _is_list(choice: Any) -> bool:
    return get_origin(choice) in (list, tuple, Sequence) and bool(get_args(choice))
