"""Check a whole configuration against its settings classes and say everything that is wrong with it, with places."""

from __future__ import annotations

import copy
import dataclasses
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from pydantic import ValidationError

from bmtool.config.aliases import keys_for
from bmtool.config.document import dotted
from bmtool.config.model import Settings, validate
from bmtool.config.shape import at, below, is_mapping, members, settings_at

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from bmtool.config.document import Document, KeyPath, Node

S = TypeVar("S", bound=Settings)


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong, and what was meant as far as that is clear."""

    path: KeyPath
    text: str
    context: dict[str, Any] = field(default_factory=dict)

    @property
    def is_unknown(self) -> bool:
        """Whether it is a key that doesn't exist."""
        return "unknown" in self.context

    @property
    def is_missing(self) -> bool:
        """Whether it is a setting that isn't there."""
        return "missing" in self.context


@dataclass(frozen=True)
class Checked(Generic[S]):
    """What a check leaves: the settings, without the sections and datasets that have faults."""

    settings: S
    left_out: frozenset[KeyPath]
    """`("pretrain",)`, `("prepare", "corpus")`: parts that can't be judged any further."""


def check(model: type[S], document: Document, *, stand_ins: Mapping[str, Any]) -> Checked[S]:
    """Build `model` from `document` and note every fault in `document.problems`.

    What comes back serves further checks also when there are faults: misspelled keys are put right, and `stand_ins`
    replace what is wrong or missing at the top of the file.
    """
    value = _given(document.root.plain(), model)
    faults = _faults(model, value)
    faults += [rival for rival in _rivals(model, value) if rival.path not in {fault.path for fault in faults}]
    mended = _mended(value, faults)
    hidden = _faults(model, mended) if faults else []
    faults += [fault for fault in (_as_written(fault, faults, value) for fault in hidden) if _is_news(fault, faults)]
    for fault in _nameless(model, list(_shown(faults))):
        is_empty = fault.is_missing and len(list(document.root.along(fault.path))) > len(fault.path)
        text = "required setting has no value" if is_empty else _text(model, document.root.plain(), fault)
        document.problem(fault.path, text)
    left_out = {_part(fault.path) for fault in _shown(faults) if not fault.is_unknown}
    left_out |= {_part(fault.path) for fault in hidden} | {_part(path) for path in _broken(document.root)}
    rest = _without(mended, left_out, stand_ins)
    return Checked(validate(model, rest), frozenset(left_out))


def _part(path: KeyPath) -> KeyPath:
    """The section or dataset that a place belongs to."""
    return path[: 2 if path[:1] == ("prepare",) else 1]


def _broken(node: Node, path: KeyPath = ()) -> Iterator[KeyPath]:
    """Places that were refused when the file was read."""
    if node.broken:
        yield path
    elif isinstance(node.value, dict | list):
        items = node.value.items() if isinstance(node.value, dict) else enumerate(node.value)
        for key, child in items:
            yield from _broken(child, (*path, key))


def _without(value: Any, parts: Iterable[KeyPath], stand_ins: Mapping[str, Any]) -> Any:
    value = copy.deepcopy(value)
    for part in parts:
        parent, key = _parent(value, part)
        if isinstance(parent, dict):
            parent.pop(key, None)
    return {**stand_ins, **value}


def _given(value: Any, annotation: Any) -> Any:
    """`value` without settings that are null: null means "not given", so that a file can take back what it extends."""
    if isinstance(value, list):
        return [_given(item, below(annotation, value, i) if annotation else None) for i, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    is_settings = annotation is not None and settings_at(annotation, value) is not None
    return {
        key: _given(member, below(annotation, value, key) if annotation is not None else None)
        for key, member in value.items()
        if member is not None or not is_settings
    }


def _faults(model: type[Settings], value: Any) -> list[Fault]:
    try:
        validate(model, value)
    except ValidationError as error:
        problems = error.errors(include_url=False)
        return [Fault(tuple(p["loc"]), p["msg"], p.get("ctx") or {}) for p in problems]
    return []


def _rivals(model: type[Settings], value: Any) -> Iterator[Fault]:
    """Settings that exclude each other: found here too, as a section with another fault isn't judged as a whole."""
    for name, annotation in members(model).items():
        settings = settings_at(annotation, value.get(name))
        written = value.get(name)
        for group in settings.exclusive if settings and isinstance(written, dict) else ():
            given = [key for key in group if written.get(key) is not None]
            if len(given) > 1:
                text = f"set exactly one of {', '.join(group)}; got {' and '.join(given)}"
                yield Fault((name, given[1]), text)


def _shown(faults: list[Fault]) -> Iterator[Fault]:
    """All faults but settings that are missing only because their key is misspelled."""
    meant = {(*fault.path[:-1], fault.context["meant"]) for fault in faults if fault.is_unknown}
    return (fault for fault in faults if not (fault.is_missing and fault.path in meant))


def _mended(value: Any, faults: list[Fault]) -> Any:
    """`value` with misspelled keys put right and wrong values left out: shows faults that those hide."""
    value = copy.deepcopy(value)
    for fault in faults:
        parent, key = _parent(value, fault.path)
        if not isinstance(parent, dict) or key not in parent:
            continue
        removed = parent.pop(key)
        if fault.is_unknown and fault.context["meant"]:
            parent.setdefault(fault.context["meant"], removed)
    return value


def _parent(value: Any, path: KeyPath) -> tuple[Any, str | int | None]:
    for key in path[:-1]:
        inside = isinstance(value, dict) and key in value
        inside = inside or (isinstance(value, list) and isinstance(key, int) and key < len(value))
        value = value[key] if inside else None
    return value, path[-1] if path else None


def _as_written(fault: Fault, known: list[Fault], value: Any) -> Fault:
    """A fault of a mended configuration with the misspelled keys that its place has in the file."""
    for other in known:
        right = (*other.path[:-1], other.context["meant"]) if other.is_unknown else ()
        was_there = right and right[-1] in (_parent(value, right)[0] or ())
        if right and not was_there and fault.path[: len(right)] == right:
            return dataclasses.replace(fault, path=(*other.path, *fault.path[len(right) :]))
    return fault


def _is_news(fault: Fault, known: list[Fault]) -> bool:
    """Whether a fault of a mended configuration is one of the file too, and not one of the mending."""
    for other in known:
        is_inside = fault.path[: len(other.path)] == other.path
        if is_inside and not (other.is_unknown and len(fault.path) > len(other.path)):
            return False
        # A section was judged as a whole after one of its values had been left out.
        if not other.is_unknown and fault.path == other.path[:-1]:
            return False
    return True


def _text(model: type[Settings], value: Any, fault: Fault) -> str:
    """The message of a fault; for an unknown key with the place where it would be right, if there is one."""
    if not fault.is_unknown or (fault.context["sure"] and len(fault.path) > 1):
        return fault.text
    key = fault.context["unknown"]
    exact = _elsewhere(model, value, fault.path, key)
    if exact:
        return f"unknown setting.{exact}"
    if fault.context["meant"]:
        return fault.text
    translated = (_elsewhere(model, value, fault.path, ours) for ours in keys_for(key))
    found = next(filter(None, translated), "")
    return f"unknown setting.{found}" if found else fault.text


def _elsewhere(model: type[Settings], value: Any, path: KeyPath, key: str) -> str:
    """Where `key` is a setting, if not in the settings at `path[:-1]`: further out or in another section."""
    for depth in range(len(path) - 2, -1, -1):
        annotation, written = at(model, value, path[:depth])
        settings = settings_at(annotation, written) if annotation is not None else None
        if settings and key in members(settings):
            if depth == 0:
                return f" Did you mean '{key}' at the top of the file, outside '{path[0]}'?"
            return f" Did you mean '{dotted((*path[:depth], key))}', further out?"
    owners = [name for name, keys in _sections(model, value).items() if key in keys]
    if owners == ["runtime"]:
        return f" Did you mean 'runtime.{key}', at the top of the file?"
    named = ["a dataset under 'prepare'" if owner == "prepare" else f"'{owner}'" for owner in owners]
    if not named or path[0] in owners:
        return ""
    return f" '{key}' is a setting of {' and of '.join([', '.join(named[:-1]), named[-1]] if named[1:] else named)}."


def _sections(model: type[Settings], value: Any) -> dict[str, dict[str, Any]]:
    """The settings of each section of a file by the section's name; those of a dataset for `prepare`."""
    out = {}
    for name, annotation in members(model).items():
        inner = below(annotation, None, "name of a dataset") if is_mapping(annotation) else annotation
        settings = settings_at(inner, value.get(name))
        if settings:
            out[name] = members(settings)
    return out


def _nameless(model: type[Settings], faults: list[Fault]) -> list[Fault]:
    """Faults with one for all that follow from `prepare: {sources: ...}`, where the name of a dataset is missing."""
    out: dict[KeyPath | int, Fault] = {}
    for index, fault in enumerate(faults):
        annotation = members(model).get(str(fault.path[0])) if len(fault.path) > 1 else None
        if annotation is not None and is_mapping(annotation):
            settings = settings_at(below(annotation, None, str(fault.path[1])), None)
            if settings and fault.path[1] in members(settings):
                text = (
                    f"'{fault.path[1]}' is a setting of a dataset: put the dataset's name above it, such as 'corpus:'"
                )
                out[fault.path[:2]] = Fault(fault.path[:2], text)
                continue
        out[index] = fault
    return list(out.values())
