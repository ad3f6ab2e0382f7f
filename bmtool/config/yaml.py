"""Read YAML 1.2 files strictly, remembering where everything stands."""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import yaml

from bmtool.config.document import Document, Node, Place, Problem
from bmtool.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from bmtool.config.document import KeyPath

#: A configuration is written by hand; more than this is another file given by mistake.
MAX_FILE_BYTES = 256 * 1024
#: The deepest sensible configuration has 7 levels; the limit keeps hostile files off Python's stack.
MAX_DEPTH = 32
#: Python refuses to read an int of more digits (`sys.int_info.default_max_str_digits`).
MAX_DIGITS = 4300

#: Endings of files of rows, as `init` reads them. JSON isn't one: all JSON is YAML.
_DATA = {".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".pq"}

_TEXT = "tag:yaml.org,2002:str"
_INT_BASES = {"0o": 8, "0x": 16}


def _whole(text: str) -> int:
    return int(text[2:], _INT_BASES[text[:2]]) if text[:2] in _INT_BASES else int(text)


def _real(text: str) -> float:
    return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))


# The core schema of YAML 1.2 (https://yaml.org/spec/1.2.2/#103-core-schema), first characters beside each pattern.
# PyYAML reads 1.1, in which `no` is a boolean, `12:30:00` a number in base 60 and `1e-4` text. Here `010` is ten.
_SCALARS: dict[str, tuple[str, str, Callable[[str], Any]]] = {
    "bool": (r"true|True|TRUE|false|False|FALSE", "tTfF", lambda text: text.lower() == "true"),
    "null": (r"null|Null|NULL|~|", "nN~", lambda _text: None),
    "int": (r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+", "-+0123456789", _whole),
    "float": (
        r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)",
        "-+.0123456789",
        _real,
    ),
}
_PARSERS = {f"tag:yaml.org,2002:{name}": parse for name, (_, _, parse) in _SCALARS.items()} | {_TEXT: str}


def read_file(path: Path, *, rank: int = 0, source: str | None = None) -> Document:
    """Read one file that holds a mapping; `source` is how messages call it.

    Raises:
        ConfigError: the file can't be read, or its syntax is wrong: the first error, as a parser guesses after it.
    """
    source = source or str(path)
    try:
        is_folder, is_file = path.is_dir(), path.is_file()
    except OSError as error:  # a name that is too long
        raise _unreadable(source, error) from None
    if is_folder:
        raise ConfigError(f"{source}: a folder is no configuration. 'bmtool init {source}' writes one for data in it")
    if is_file and not _DATA.isdisjoint(path.suffixes):
        raise ConfigError(f"{source}: this is data, no configuration. 'bmtool init {source}' writes one for it")
    document = _parse(_text_of(path, source), source, rank)
    if document.root.value is None and not document.problems:
        raise ConfigError(f"{document.root.place}: the file is empty. It starts with 'version: 1' and 'name: ...'")
    if not isinstance(document.root.value, dict):
        raise ConfigError(f"{document.root.place}: expected settings as 'key: value' lines")
    return document


def read_value(text: str, *, rank: int, source: str) -> Document:
    """Read one value as it would stand behind a `key:` on one line; its place is `source`, without a line.

    Raises:
        ConfigError: its syntax is wrong; the message holds no place.
    """
    try:
        document = _parse(text, "", rank)
    except ConfigError as error:
        raise ConfigError(re.sub(r"^:[0-9]+:[0-9]+: ", "", str(error))) from None
    document.root = _moved(document.root, Place(rank, 0, 0, source))
    document.problems = [Problem(document.root.place, p.path, p.text) for p in document.problems]
    return document


def _moved(node: Node, place: Place) -> Node:
    value = node.value
    if isinstance(value, dict):
        value = {key: _moved(child, place) for key, child in value.items()}
    elif isinstance(value, list):
        value = [_moved(child, place) for child in value]
    return Node(value, place, node.broken)


def _text_of(path: Path, source: str) -> str:
    try:
        raw = path.read_bytes() if path.stat().st_size <= MAX_FILE_BYTES else None
    except FileNotFoundError:
        beside = [p.name for p in path.parent.glob("*.y*ml")] if path.parent.is_dir() else []
        close = difflib.get_close_matches(path.name, beside, n=1)
        hint = f" Did you mean '{path.parent / close[0]}'?" if close else ""
        raise ConfigError(f"{source}: there is no such file.{hint}") from None
    except OSError as error:
        raise _unreadable(source, error) from None
    if raw is None:
        raise ConfigError(f"{source}: more than {MAX_FILE_BYTES:,} bytes: this is no configuration file")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, column = raw.count(b"\n", 0, error.start) + 1, error.start - raw.rfind(b"\n", 0, error.start)
        raise ConfigError(
            f"{source}:{line}:{column}: not UTF-8 (byte 0x{raw[error.start]:02x}). Save the file as UTF-8"
        ) from None


def _unreadable(source: str, error: OSError) -> ConfigError:
    return ConfigError(f"{source}: can't be read: {(error.strerror or str(error)).lower()}")


class _Loader(yaml.SafeLoader):
    """PyYAML's parser with the scalars of YAML 1.2; notes anchors, aliases and tags, and refuses deep nesting."""

    yaml_implicit_resolvers: dict[str, list[Any]] = {}

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.depth = 0
        self.refused: list[tuple[yaml.Mark, str]] = []
        self.broken: set[int] = set()

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event: Any = self.peek_event()  # type: ignore[no-untyped-call]
        if self.depth > MAX_DEPTH:
            raise yaml.MarkedYAMLError(
                problem=f"more than {MAX_DEPTH} levels of nesting", problem_mark=event.start_mark
            )
        refused = self._refusal(event)
        if refused:
            self.refused.append((event.start_mark, refused))
        if isinstance(event, yaml.AliasEvent):
            self.get_event()  # type: ignore[no-untyped-call]
            mark: Any = event.start_mark
            node: yaml.Node | None = yaml.ScalarNode(_TEXT, "", mark, mark)
        else:
            self.depth += 1
            node = super().compose_node(parent, index)
            self.depth -= 1
        if refused:
            self.broken.add(id(node))
        return node

    @staticmethod
    def _refusal(event: Any) -> str:
        if isinstance(event, yaml.AliasEvent):
            return f"'*{event.anchor}' is a YAML alias, which isn't read. Text that starts with '*' must be quoted"
        if getattr(event, "anchor", None):
            anchor, event.anchor = event.anchor, None
            return f"'&{anchor}' is a YAML anchor, which isn't read. Text that starts with '&' must be quoted"
        if getattr(event, "tag", None):
            tag, event.tag = event.tag.replace("tag:yaml.org,2002:", "!!"), None
            event.implicit = (True, False) if isinstance(event, yaml.ScalarEvent) else True
            return f"'{tag}' is a YAML tag, which isn't read. Text that starts with '!' must be quoted"
        return ""


for _name, (_pattern, _first, _) in _SCALARS.items():
    _starts = [*_first, ""] if _name == "null" else list(_first)
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_name}", re.compile(rf"^(?:{_pattern})$"), _starts)


def _parse(text: str, source: str, rank: int) -> Document:
    document = Document(Node(None, Place(rank, 1, 1, source)))
    try:
        loader = _Loader(text)
        root = loader.get_single_node()
    except yaml.reader.ReaderError as error:
        line, column = text.count("\n", 0, error.position) + 1, error.position - text.rfind("\n", 0, error.position)
        raise ConfigError(
            f"{source}:{line}:{column}: the character {chr(error.character)!r} isn't allowed in a configuration file"
        ) from None
    except yaml.MarkedYAMLError as error:
        mark, said = _in_plain_words(error, text)
        raise ConfigError(f"{source}:{mark.line + 1}:{mark.column + 1}: {said}") from None
    for mark, said in loader.refused:
        document.problems.append(Problem(_place(mark, document.root.place), (), said))
    if root is not None:
        document.root = _Reader(document, loader.broken).read(root, document.root.place, ())
    return document


def _place(mark: yaml.Mark, like: Place) -> Place:
    return Place(like.rank, mark.line + 1, mark.column + 1, like.source)


@dataclass
class _Reader:
    """Turns PyYAML's nodes into ours, noting what can't be used."""

    document: Document
    broken: set[int]

    def read(self, node: yaml.Node, place: Place, path: KeyPath) -> Node:
        broken = id(node) in self.broken
        if isinstance(node, yaml.MappingNode):
            return Node(self._mapping(node, place, path), place, broken)
        if isinstance(node, yaml.SequenceNode):
            items = enumerate(node.value)
            return Node(
                [self.read(item, _place(item.start_mark, place), (*path, i)) for i, item in items], place, broken
            )
        text = node.value
        if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
            return self._refuse(place, path, "the text holds a character that can't be stored (NUL or half a pair)")
        if node.tag != _TEXT and len(text) > MAX_DIGITS:
            return self._refuse(place, path, f"a number of {len(text):,} digits")
        return Node(_PARSERS[node.tag](text), place, broken)

    def _refuse(self, place: Place, path: KeyPath, text: str) -> Node:
        self.document.problems.append(Problem(place, path, text))
        return Node(None, place, broken=True)

    def _mapping(self, node: yaml.MappingNode, place: Place, path: KeyPath) -> dict[str, Node]:
        out: dict[str, Node] = {}
        for key, value in node.value:
            at = _place(key.start_mark, place)
            if key.tag != _TEXT or id(key) in self.broken:
                if id(key) not in self.broken:
                    written = f"'{key.value}'" if isinstance(key, yaml.ScalarNode) else "a list or a mapping"
                    self._refuse(at, path, f"a key must be text, not {written}. Put it in quotes")
            elif key.value == "<<":
                self._refuse(at, path, "'<<' (a merge key) isn't read. A shared part goes into a file for 'extends:'")
            elif key.value in out:
                self._refuse(at, (), f"'{key.value}' is already set on line {out[key.value].place.line}")
            else:
                out[key.value] = self.read(value, at, (*path, key.value))
        return out


def _in_plain_words(error: yaml.MarkedYAMLError, text: str) -> tuple[yaml.Mark, str]:
    """Where a syntax error is and what it means; PyYAML's own words are those of a parser's author."""
    problem, context = error.problem or "", error.context or ""
    start: Any = error.context_mark or error.problem_mark
    mark: Any = error.problem_mark or start
    if "'\\t'" in problem:
        return mark, "a tab. Indent with spaces"
    if "mapping values are not allowed" in problem:
        return (
            mark,
            "a ':' that doesn't belong here. Is the line indented wrongly? Text with ': ' in it is quoted",
        )
    if "could not find expected ':'" in problem:
        return start, "expected 'key: value'; there is no ':' behind this"
    if "quoted scalar" in context and "end of stream" in problem:
        return start, "a quote is opened here and never closed"
    if "while scanning an alias" in context:
        return start, "text that starts with '*' must be quoted, such as '*.jsonl'"
    if "while scanning an anchor" in context:
        return start, "text that starts with '&' must be quoted"
    if "flow" in context and "expected ','" in problem:
        opened = text[start.index : start.index + 1]
        return start, f"'{opened}' is opened here and not closed, or a comma is missing"
    if "expected <block end>" in problem and text[mark.index : mark.index + 1] in ("]", "}", ","):
        return mark, f"a '{text[mark.index]}' that doesn't belong here"
    if "expected <block end>" in problem:
        return mark, "wrong indentation: it matches no line above"
    if "single document" in context:
        return mark, "a second document starts here ('---'). One file holds one configuration"
    if "cannot start any token" in problem:
        return mark, f"text that starts with {text[mark.index : mark.index + 1]!r} must be quoted"
    return mark, problem
