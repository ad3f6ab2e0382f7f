"""What is seen of a table's columns: how many values of which kind, how long, and how many distinct ones."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bmtool.data.readers.decimals import has_decimal_comma
from bmtool.data.readers.nested import MAX_LEVELS
from bmtool.data.text.scripts import WITHOUT_SPACES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

#: Names that people give to columns of labels; a whole word of the name must match.
LABEL_NAMES = (
    "label labels class category sentiment stars star rating score grade target topic intent polarity tag y "
    "标签 类别 分类 情感 评分 星级 分数"
)

#: The same for columns with several labels a row.
LABELS_NAMES = "labels tags topics categories genres keywords"

#: What may stand between them.
SEPARATORS = ",;|"

#: More kinds of values than this are no labels.
MOST_LABELS = 50

#: More labels than that of several in a field are some, too, if each is in a few rows.
ROWS_OF_MANY, MOST_NAMED_LABELS = 3, 1000

#: A longer value is no label.
LONGEST_LABEL_CHARS = 60

#: Distinct characters that a column keeps count of, and distinct values, before it is clear that there are many.
MOST_DISTINCT = 20_000


@dataclass
class Column:
    """What was seen of one column."""

    name: str
    rows: int = 0
    texts: int = 0
    """values that are text"""
    scalars: int = 0
    """values that are text, numbers or truth values"""
    chars: int = 0
    with_space: int = 0
    """texts with a space, or with a character of a script that has none"""
    han: int = 0
    """characters of such scripts"""
    values: Counter[str] = field(default_factory=Counter)
    shapes: Counter[str] = field(default_factory=Counter)
    """values that are numbers, or lists and mappings that a task may read"""
    longest: int = 0
    lengths: list[int] = field(default_factory=list)
    nested_tokens: int = 0
    """tokens of the text in its lists and mappings, roughly"""
    has_decimal_comma: bool = False
    """whether its numbers are written as `0,5`"""
    separator: str | None = None
    """what stands between the members of its lists, where a text stands for a list"""

    def see(self, value: Any) -> None:
        """Count one value; bytes are taken for text, as some programs write it into Parquet."""
        if isinstance(value, bytes):
            value = value.decode("utf-8", errors="replace")
        self.rows += 1
        self.shapes[_shape(value)] += 1
        if isinstance(value, list | dict):
            text = "".join(_strings(value))
            self.nested_tokens += _num_tokens(len(text), len(WITHOUT_SPACES.findall(text)))
            return
        if value is None or value == "" or value != value:  # NaN is no value
            return
        self.scalars += 1
        text = value if isinstance(value, str) else _as_label(value)
        self.longest = max(self.longest, len(text))
        if len(self.values) < MOST_DISTINCT or text in self.values:
            self.values[text] += 1
        if isinstance(value, str):
            han = len(WITHOUT_SPACES.findall(value))
            self.texts += 1
            self.chars += len(value)
            self.han += han
            self.with_space += " " in value.strip() or han > 1
            self.lengths.append(len(value))

    def read_as_csv(self) -> None:
        """Take texts for what CSV has no other way to write: numbers with a decimal comma, and lists of labels."""
        is_number = not (self.shapes["text"] or self.shapes["fraction"] or named(self.name, LABELS_NAMES))
        if self.shapes["comma"] and is_number:
            self.has_decimal_comma = True
            self.shapes["fraction"] = self.shapes.pop("comma")
            return
        self.separator = _separator(self)
        if self.separator is not None:
            self.shapes = Counter(texts=self.rows)

    def holds(self, kind: str) -> bool:
        """Whether more than half of its values may be of a kind of column that tasks read."""
        if kind == "label":
            return 2 <= len(self.values) <= MOST_LABELS and self.longest <= LONGEST_LABEL_CHARS
        if kind == "number" and not self.shapes["fraction"] and len(self.values) <= MOST_LABELS:
            return False  # a few whole numbers may be labels
        return sum(self.shapes[shape] for shape in _SHAPES[kind]) > self.rows / 2

    def may_be(self, kind: str) -> bool:
        """Whether it may be a kind of column that somebody says it is: whole numbers are numbers, and labels as many as
        there are."""
        if kind in {"label", "group"}:
            return len(self.values) >= 2
        return sum(self.shapes[shape] for shape in _SHAPES[kind]) > self.rows / 2

    @property
    def has_fractions(self) -> bool:
        """Whether it holds numbers that aren't all whole."""
        return self.holds("number") and self.shapes["fraction"] > 0

    @property
    def what(self) -> str:
        """What most of its values are, for an error."""
        if len(self.values) == 1:
            return f"nothing but {next(iter(self.values))!r}"
        return _CALLED[max(self.shapes, key=self.shapes.__getitem__)]

    @property
    def mean_chars(self) -> float:
        """Characters of a text."""
        return self.chars / self.texts if self.texts else 0.0

    @property
    def tokens(self) -> int:
        """Tokens of all its texts, roughly."""
        return _num_tokens(self.chars, self.han)


def look(rows: Iterable[Mapping[str, Any]]) -> dict[str, Column]:
    """Count the values of every column."""
    columns: dict[str, Column] = {}
    for row in rows:
        for name, value in _flat(row):
            columns.setdefault(name, Column(name)).see(value)
    return columns


def _flat(row: Mapping[str, Any], within: str = "") -> Iterator[tuple[str, Any]]:
    """Names and values; of mappings that no task reads those within them."""
    for name, value in row.items():
        is_read = not isinstance(value, dict) or _shape(value) != "other"
        if not is_read and value and within.count(".") < MAX_LEVELS:
            yield from _flat(value, f"{within}{name}.")
        else:
            yield within + name, value


def named(name: str, names: str) -> bool:
    """Whether one of `names` is a whole word of a column's name."""
    words = re.split(r"[^\w]+|_", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower())
    return any(word in names.split() for word in words)


def _separator(column: Column) -> str | None:
    """What stands between labels in texts: what splits them into fewer ones, each of which is in several texts."""
    if not named(column.name, f"{LABEL_NAMES} {LABELS_NAMES}"):
        return None
    for separator in SEPARATORS:
        parts = members(column.values, separator)
        each = 2 if len(parts) <= MOST_LABELS else ROWS_OF_MANY
        is_label = len(parts) <= MOST_NAMED_LABELS and max(map(len, parts), default=0) <= LONGEST_LABEL_CHARS
        if is_label and 2 <= len(parts) < len(column.values) and parts.total() >= each * len(parts):
            return separator
    return None


def members(values: Iterable[str], separator: str) -> Counter[str]:
    """The parts of all distinct values, and in how many of them each one is."""
    return Counter(part for value in values for part in {one.strip() for one in value.split(separator)} if part)


#: Shapes of values that a kind of column has.
_SHAPES = {
    "text": ("text",),
    "target": ("text",),
    "words": ("texts",),
    "tags": ("texts",),
    "labels": ("texts",),
    "answers": ("answers", "texts", "text"),
    "messages": ("messages",),
    "number": ("whole", "fraction"),
}

#: What values of a shape are called.
_CALLED = {
    "text": "text",
    "whole": "whole numbers",
    "fraction": "numbers",
    "comma": "numbers with a decimal comma",
    "texts": "lists",
    "answers": "answers",
    "messages": "messages",
    "other": "nothing that a task reads",
}


def _num_tokens(chars: int, han: int) -> int:
    """A token holds one character of Chinese and 4.5 of English."""
    return round(han + (chars - han) / 4.5)


def _strings(value: Any) -> Iterator[str]:
    """The texts in lists and mappings, whatever is nested in what."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _strings(one)


def _shape(value: Any) -> str:
    if isinstance(value, list):
        first = value[0] if value else ""
        is_turn = isinstance(first, dict) and {"role", "from"} & first.keys()
        return "messages" if is_turn else "answers" if isinstance(first, dict) else "texts"
    if isinstance(value, dict):
        return "answers" if isinstance(value.get("text"), list) or "answer_start" in value else "other"
    try:
        number = float(value)
    except (TypeError, ValueError):  # no number
        if has_decimal_comma(value, surely=True):
            return "comma"
        return "text" if isinstance(value, str) and value.strip() else "other"
    if not math.isfinite(number):
        return "text" if isinstance(value, str) else "other"
    return "whole" if number.is_integer() else "fraction"


def _as_label(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def percentile(values: Sequence[int], share: float) -> int:
    """The value that `share` of all are not above."""
    ordered = sorted(values)
    return ordered[min(int(share * len(ordered)), len(ordered) - 1)] if ordered else 0
