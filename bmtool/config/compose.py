"""Put a configuration together: the file, the files it extends, and `--set` on top."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any

from bmtool.config.document import Document, Node, Place, Problem, dotted
from bmtool.config.shape import below, chooser, is_mapping, settings_at
from bmtool.config.variables import expand
from bmtool.config.yaml import read_file, read_value
from bmtool.errors import ConfigError, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bmtool.config.document import KeyPath
    from bmtool.config.model import Choose

#: The annotation of a place: what may stand there (see shape.py).
Annotation = Any


def compose(file: Path, overrides: Sequence[str], schema: Annotation) -> Document:
    """Read `file` and what it extends, and apply `overrides`, each `a.b[0].c=VALUE`.

    A mapping is merged into the mapping below it, anything else replaces it. Two components are merged only if they
    are the same one. A key that excludes others (`max_steps`, `max_tokens`) takes their place.

    Raises:
        ConfigError: a file can't be read, or has a syntax error; a circle of `extends`.
    """
    document = _extended(file, schema, [])
    for index, override in enumerate(overrides):
        _apply(document, override, schema, rank=1000 + index)
    return document


def _extended(file: Path, schema: Annotation, chain: list[tuple[Path, str]]) -> Document:
    """`file` laid over what it extends; `chain` holds the files that led here, resolved and as written."""
    document = read_file(file, rank=len(chain))
    chain = [*chain, (file.resolve(), str(file))]
    extends = document.root.value.get("extends")
    if extends is None or extends.broken:
        return document
    if not isinstance(extends.value, str) or not extends.value:
        raise ConfigError(f"{extends.place}: extends: expected the path of one file")
    try:
        base = file.parent / expand(extends.value)
    except ConfigError as error:
        raise ConfigError(f"{extends.place}: extends: {error}") from None
    start = next((index for index, (path, _) in enumerate(chain) if path == base.resolve()), None)
    if start is not None:
        circle = " -> ".join([name for _, name in [*chain[start:], chain[start]]])
        raise ConfigError(f"{extends.place}: extends: a circle: {circle}")
    if not os.access(base, os.F_OK) or not base.is_file():
        raise ConfigError(f"{extends.place}: extends: there is no file {base}")
    below_it = _extended(base, schema, chain)
    return Document(merged(below_it.root, document.root, schema), document.problems + below_it.problems)


def merged(base: Node, top: Node, annotation: Annotation) -> Node:
    """`top` laid over `base`, where `annotation` reads both."""
    choice = chooser(annotation) if annotation is not None else None
    written = top
    if choice:
        base, top = _long(base, choice), _long(top, choice)
    if not isinstance(base.value, dict) or not isinstance(top.value, dict):
        return written
    if choice and not _same(base, top, choice):
        return written
    kept = _without_rivals(base.value, list(top.value.items()), annotation, {**base.plain(), **top.plain()})
    plain = {**base.plain(), **top.plain()}
    for key, node in top.value.items():
        inner = below(annotation, plain, key) if annotation is not None else None
        kept[key] = merged(kept[key], node, inner) if key in kept else node
    return Node(kept, top.place, top.broken)


def _long(node: Node, choice: Choose) -> Node:
    """A component written as its name, as a mapping."""
    mapping = choice.mapping(node.value) if isinstance(node.value, str) else None
    if not isinstance(mapping, dict):
        return node
    return Node({key: Node(value, node.place) for key, value in mapping.items()}, node.place, node.broken)


def _same(base: Node, top: Node, choice: Choose) -> bool:
    """Whether `top` has more settings for the component that `base` names, or names it too."""
    named = top.value.get(choice.key)
    if named is not None:
        return choice.key in base.value and base.value[choice.key].value == named.value
    own = choice.component(top.plain())
    return own is None or own is choice.component(base.plain())


def _without_rivals(
    base: dict[str, Node], new: Sequence[tuple[str, Node]], annotation: Annotation, plain: Any
) -> dict[str, Node]:
    """`base` without the keys that a new one excludes; a new key set to null excludes nothing."""
    settings = settings_at(annotation, plain) if annotation is not None else None
    groups = settings.exclusive if settings else ()
    set_now = {key for key, node in new if node.value is not None}
    gone = {rival for group in groups if set_now & set(group) for rival in group} - set_now
    return {key: node for key, node in base.items() if key not in gone}


def _apply(document: Document, override: str, schema: Annotation, rank: int) -> None:
    """Lay one `--set` over the document."""
    source = f"--set {override}"
    place = Place(rank, 0, 0, source)
    key, equals, text = override.partition("=")
    path = _parsed(key.strip())
    if not equals or not path:
        document.problems.append(Problem(place, (), "expected KEY=VALUE, such as --set pretrain.max_steps=50"))
        return
    if path[0] == "extends":
        document.problems.append(Problem(place, (), "'extends' belongs into the file"))
        return
    try:
        value = read_value(text, rank=rank, source=source)
        document.problems += value.problems
        document.root = _laid(document.root, path, value.root, schema, place, path)
        if len(path) == 1 and value.root.value is None:  # a section that is taken back, and not one without settings
            document.root.value.pop(path[0])
    except ConfigError as error:
        document.problems.append(Problem(place, path, str(error)))


def _parsed(key: str) -> KeyPath:
    """`filters[0].min_chars` and `filters.0.min_chars` to `("filters", 0, "min_chars")`; empty if it is neither."""
    parts = re.sub(r"\[([0-9]+)\]", r".\1", key).split(".")
    if not all(re.fullmatch(r"[^\s\[\]=]+", part) for part in parts):
        return ()
    return tuple(int(part) if part.isdecimal() else part for part in parts)


def _laid(base: Node, path: KeyPath, value: Node, annotation: Annotation, place: Place, whole: KeyPath) -> Node:
    """`base` with `value` at `path`.

    Raises:
        ConfigError: the path leads nowhere.
    """
    if not path:
        return merged(base, value, annotation)
    key, rest, here = path[0], path[1:], whole[: len(whole) - len(path)]
    choice = chooser(annotation) if annotation is not None else None
    if choice:
        base = _long(base, choice)
    if isinstance(base.value, list):
        return _laid_into_list(base, path, value, annotation, place, whole)
    if base.value is not None and not isinstance(base.value, dict):
        raise ConfigError(f"'{dotted(here)}' is no mapping: nothing can be set inside it")
    entries, key = dict(base.value or {}), str(key)
    if key not in entries and rest and annotation is not None and is_mapping(annotation):
        raise ConfigError(f"there is no '{key}' under '{dotted(here)}'.{did_you_mean(key, entries)}")
    inner = below(annotation, {name: node.plain() for name, node in entries.items()}, key) if annotation else None
    laid = _laid(entries.get(key, Node(None, place)), rest, value, inner, place, whole)
    plain = {name: node.plain() for name, node in entries.items()} | {key: laid.plain()}
    if choice and key == choice.key and not rest and key in entries and entries[key].value != value.value:
        entries = {}  # another component has other settings
    entries = _without_rivals(entries, [(key, laid)], annotation, plain)
    return Node({**entries, key: laid}, base.place if isinstance(base.value, dict) else place)


def _laid_into_list(
    base: Node, path: KeyPath, value: Node, annotation: Annotation, place: Place, whole: KeyPath
) -> Node:
    key, here = path[0], dotted(whole[: len(whole) - len(path)])
    if not isinstance(key, int) or key >= len(base.value):
        known = f"0 to {len(base.value) - 1}" if base.value else "nothing in it"
        raise ConfigError(f"'{here}' is a list ({known}): give a place in it, such as {here}[0]")
    inner = below(annotation, base.plain(), key) if annotation is not None else None
    items = list(base.value)
    items[key] = _laid(items[key], path[1:], value, inner, place, whole)
    return Node(items, base.place, base.broken)
