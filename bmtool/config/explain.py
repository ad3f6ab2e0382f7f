"""Say in plain words what is wrong with a setting; what pydantic says is meant for programmers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from bmtool.config.aliases import NOTES, keys_for, meant_by, without_setting
from bmtool.config.describe import expects, listing
from bmtool.config.model import chooser_of, shown
from bmtool.config.shape import alternatives, at, chooser, members, settings_at
from bmtool.errors import close_to

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bmtool.config.document import KeyPath
    from bmtool.config.model import Settings

#: What pydantic calls a limit, and what we say.
_LIMITS = {
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be below {lt}",
    "less_than_equal": "must be at most {le}",
    "too_short": "must hold at least {min_length}",
    "too_long": "must hold at most {max_length}",
    "string_too_short": "must not be shorter than {min_length} characters",
    "string_too_long": "must not be longer than {max_length} characters",
    "finite_number": "must be a finite number",
}
#: What pydantic calls a type, and what we say.
_EXPECTED = {
    "int": "a whole number",
    "int_from_float": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "string": "text",
    "path": "a path",
    "list": "a list",
    "tuple": "a list",
    "dict": "'key: value' lines",
    "model": "'key: value' lines",
    "mapping": "'key: value' lines",
}


def in_words(error: ValidationError, model: type[Settings], value: Any) -> ValidationError:
    """The same error with messages for the user and with places that `value` really has."""
    details: list[InitErrorDetails] = []
    grouped: dict[KeyPath, list[Any]] = {}
    for problem in error.errors(include_url=False):
        # A component inside was read, and explained, before: its missing setting has kept its name in the context.
        is_missing = problem["type"] == "missing" or "missing" in problem.get("ctx", {})
        path = _written(problem["loc"], value, is_missing=is_missing)
        grouped.setdefault(path, []).append(problem)
    for path, problems in grouped.items():
        is_union = len(problems[0]["loc"]) > len(path) and problems[0]["loc"][-1] != "[key]"
        if is_union and any(len(other) > len(path) and other[: len(path)] == path for other in grouped):
            continue  # one branch of the union fits, but for something deeper inside, which is shown
        if problems[0]["type"] == "too_short" and any(path == other[: len(path)] for other in grouped if other != path):
            continue  # it is only too short without the items that are wrong
        for problem in problems[:1] if is_union else problems:
            place, text = _explain(problem, path, model, value, is_union=is_union and len(problems) > 1)
            details.append({"type": text, "loc": place, "input": problem["input"]})
    return ValidationError.from_exception_data(model.__name__, details)


def _written(loc: tuple[str | int, ...], value: Any, *, is_missing: bool) -> KeyPath:
    """`loc` without what pydantic adds to it: names of union branches, `[key]`."""
    path: list[str | int] = []
    for index, key in enumerate(loc):
        inside = isinstance(value, dict) and key in value
        if inside or (isinstance(value, list) and isinstance(key, int) and key < len(value)):
            path.append(key)
            value = value[key]
        elif is_missing and index == len(loc) - 1:
            path.append(key)
    return tuple(path)


def _explain(
    problem: Any, path: KeyPath, model: type[Settings], value: Any, *, is_union: bool
) -> tuple[KeyPath, PydanticCustomError]:
    kind, context = problem["type"], dict(problem.get("ctx") or {})
    if kind == "explained":
        return (*path, context.pop("at")) if "at" in context else path, _custom(**context)
    if kind == "missing":
        return path, _custom(text="required setting is missing", missing=str(path[-1]))
    if kind == "extra_forbidden":
        return path, unknown(str(path[-1]), *_around(model, value, path[:-1]))
    annotation, found = at(model, value, path)
    if kind.startswith("string_") and problem["loc"][-1] == "[key]":
        return path, _custom(text=f"{shown(path[-1])} can't be a name: it takes small letters, digits, '_' and '-'")
    text = (
        f"expected {expects(annotation)}, got {shown(found)}" if is_union else _wrong(kind, context, annotation, found)
    )
    return path, _custom(text=text or f"{problem['msg'][0].lower()}{problem['msg'][1:]}, got {shown(found)}")


def _custom(**context: Any) -> PydanticCustomError:
    return PydanticCustomError("explained", "{text}", context)


def _around(model: type[Settings], value: Any, path: KeyPath) -> tuple[Mapping[str, Any], Any]:
    """The settings that are known at `path`, and what was written there."""
    annotation, written = at(model, value, path)
    settings = settings_at(annotation, written) if annotation is not None else None
    return (members(settings) if settings else {}), written


def unknown(key: str, known: Mapping[str, Any], written: Any) -> PydanticCustomError:
    """The error for a key that isn't among the `known` ones; it carries what was meant, as far as it is clear here."""
    sure = meant_key(key, known)
    inner = "" if sure else _inner(key, known, written)
    if not sure and not inner and (why := without_setting(key)):
        return _custom(text=f"unknown setting. {why}. Remove it", unknown=key, meant="", sure=True)
    meant = sure or ("" if inner else close_to(key, known))
    hint = f" Did you mean '{meant or inner}'?" if meant or inner else ""
    hint += NOTES.get(sure, "") + (" It is one level further in." if inner else "")
    hint = hint if sure or inner else _in_component(key, known) or hint
    listed = f" Known here: {', '.join(known)}." if known else " Nothing can be set here."
    return _custom(text=f"unknown setting.{hint or listed}", unknown=key, meant=meant, sure=bool(sure or inner))


def meant_key(key: str, known: Iterable[str]) -> str:
    """Our key among the `known` ones for a spelling or another tool's name of it; empty if it is none."""
    names = list(known)
    same = [name for name in names if _bare(name) == _bare(key)]
    return next(iter([*same, *(ours for ours in keys_for(key) if ours in names)]), "")


def _bare(key: str) -> str:
    return key.lower().replace("_", "").replace("-", "")


def _inner(key: str, known: Mapping[str, Any], written: Any) -> str:
    """`model.size` for `size`: a setting one level further in."""
    for name, annotation in known.items():
        value = written.get(name) if isinstance(written, dict) else None
        settings = settings_at(annotation, value) if value is not None or chooser(annotation) is None else None
        if settings and key in members(settings) and not _is_unit(settings):
            return f"{name}.{key}"
    return ""


def _in_component(key: str, known: Mapping[str, Any]) -> str:
    """Which component that can be chosen here has the setting `key`."""
    for name, annotation in known.items():
        choice = chooser_of(annotation, [])
        for component in choice.kind.names() if choice else ():
            if choice and key in members(choice.kind.load(component)):
                written = f"{{{choice.key}: {component}, {key}: ...}}"
                written = f"[{written}]" if chooser(annotation) is None else written
                return f" '{key}' is a setting of the {choice.kind.name} '{component}': {name}: {written}."
    return ""


def _is_unit(settings: type[Settings]) -> bool:
    """Whether a class is the inside of a value that is written as text, such as `10m`."""
    return settings.__module__ in ("bmtool.config.units", "bmtool.config.references")


def _wrong(kind: str, context: dict[str, Any], annotation: Any, value: Any) -> str:
    """What is wrong in words; empty where only pydantic knows."""
    if kind in _LIMITS:
        context = {k: int(v) if isinstance(v, float) and v.is_integer() else v for k, v in context.items()}
        return f"{_LIMITS[kind].format(**context)}, got {shown(value) if not isinstance(value, list) else len(value)}"
    if kind == "string_pattern_mismatch":
        return f"expected {expects(annotation)}, got {shown(value)}"
    if kind == "literal_error":
        return _not_among(annotation, context, value)
    if kind in ("value_error", "assertion_error"):
        return str(context["error"])
    stem = kind.removesuffix("_type").removesuffix("_parsing")
    noun = _EXPECTED.get(stem)
    return f"expected {noun}, got {shown(value)}{_remedy(stem, value)}" if noun else ""


def _remedy(stem: str, value: Any) -> str:
    if stem.startswith("int") and isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return f". Write {int(value)}"
    if stem in ("int", "float") and isinstance(value, str):
        if re.fullmatch(r"[-+]?[0-9.]+([eE][-+]?[0-9]+)?", value):
            return ". Remove the quotes"
        if re.fullmatch(r"[0-9]+([_,' ][0-9]{3})+", value):
            return f". Write {re.sub('[^0-9]', '', value)}"
    if stem == "bool" and isinstance(value, str):
        word = {"yes": "true", "on": "true", "y": "true", "no": "false", "off": "false", "n": "false"}.get(
            value.lower()
        )
        return f". Write {word}" if word else ""
    if stem in ("string", "path") and isinstance(value, int | float):
        return f". Put it in quotes: '{shown(value)}'"
    if stem in ("list", "tuple") and isinstance(value, str | int | float) and not set("[],") & set(str(value)):
        return f". Write [{shown(value).strip(chr(39))}]"
    return ""


def _not_among(annotation: Any, context: dict[str, Any], value: Any) -> str:
    choices = [c for a in alternatives(annotation) if get_origin(a) is Literal for c in get_args(a)]
    known = [str(choice) for choice in choices] or re.findall(r"'([^']*)'", str(context.get("expected", "")))
    word = str(value)
    return f"expected {listing(known)}, got {shown(value)}.{meant_by(word, known)}".removesuffix(".")
