"""Guess which column of a table holds the text, which the label, and which says whose row it is."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bmtool.data.text.scripts import WITHOUT_SPACES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

#: Names that people give to such columns; a whole word of the name must match.
TEXT_NAMES = "text body review content comment message sentence document description 正文 文本 评论 内容 评价"
LABEL_NAMES = (
    "label labels class category sentiment stars star rating score target topic intent polarity tag y "
    "标签 类别 分类 情感 评分 星级 分数"
)
GROUP_NAMES = "customer user author client account reviewer patient speaker member buyer group 用户 客户 作者 顾客"

#: More kinds of values than this are no labels.
MOST_LABELS = 50

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

    def see(self, value: Any) -> None:
        """Count one value."""
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

    def holds(self, kind: str) -> bool:
        """Whether more than half of its values may be of a kind of column that tasks read."""
        if kind == "label":
            return 2 <= len(self.values) <= MOST_LABELS and self.longest <= LONGEST_LABEL_CHARS
        if kind == "number" and not self.shapes["fraction"] and len(self.values) <= MOST_LABELS:
            return False  # a few whole numbers may be labels
        return sum(self.shapes[shape] for shape in _SHAPES[kind]) > self.rows / 2

    @property
    def mean_chars(self) -> float:
        """Characters of a text."""
        return self.chars / self.texts if self.texts else 0.0

    @property
    def tokens(self) -> int:
        """Tokens of all its texts, roughly."""
        return _num_tokens(self.chars, self.han)


@dataclass(frozen=True)
class Guess:
    """Which columns are which, and why."""

    text: Column
    label: Column | None
    group: Column | None
    reasons: tuple[str, ...]


def look(rows: Iterable[Mapping[str, Any]]) -> dict[str, Column]:
    """Count the values of every column."""
    columns: dict[str, Column] = {}
    for row in rows:
        for name, value in row.items():
            columns.setdefault(name, Column(name)).see(value)
    return columns


def guess(columns: Mapping[str, Column], num_rows: int) -> Guess | None:
    """Choose columns; None where no column holds text."""
    texts = [column for column in columns.values() if column.texts and _text_score(column) > 0]
    if not texts:
        return None
    text = max(texts, key=_text_score)
    others = [column for column in columns.values() if column is not text]
    label = max((c for c in others if _may_label(c, num_rows)), key=_label_score, default=None)
    group = group_of([column for column in others if column is not label], num_rows)
    reasons = [f"'{text.name}' holds the text: {text.mean_chars:,.0f} characters on average, the longest of its kind"]
    if label is None:
        reasons.append(f"no column looks like a label: 2 to {MOST_LABELS} short values, each of them in several rows")
    else:
        named = " and by its name" if _named(label.name, LABEL_NAMES) else ""
        values = ", ".join(value for value, _ in sorted(label.values.items())[:8])
        reasons.append(f"'{label.name}' holds the label: {len(label.values)} values ({values}){named}")
    if group is not None:
        reasons.append(
            f"'{group.name}' says whose row it is: {len(group.values):,} values; rows of one stay in one split"
        )
    return Guess(text, label, group, tuple(reasons))


def group_of(columns: Iterable[Column], num_rows: int) -> Column | None:
    """The first column that says whose row it is."""
    return next((column for column in columns if _may_group(column, num_rows)), None)


def _named(name: str, names: str) -> bool:
    words = re.split(r"[^\w]+|_", re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).lower())
    return any(word in names.split() for word in words)


def _text_score(column: Column) -> float:
    """Long texts with spaces; a key, a path or a date has none."""
    prose = column.with_space / max(column.texts, 1)
    return column.mean_chars * (prose + 0.02) * (3 if _named(column.name, TEXT_NAMES) else 1)


def _may_label(column: Column, num_rows: int) -> bool:
    kinds = len(column.values)
    if not 2 <= kinds <= MOST_LABELS or column.longest > LONGEST_LABEL_CHARS or column.scalars < 0.5 * num_rows:
        return False
    named = _named(column.name, LABEL_NAMES)
    return named or (kinds <= 20 and column.scalars / kinds >= 5 and not _named(column.name, GROUP_NAMES))


def _label_score(column: Column) -> tuple[bool, int]:
    return _named(column.name, LABEL_NAMES), -len(column.values)


def _may_group(column: Column, num_rows: int) -> bool:
    is_whole = column.scalars == num_rows
    kinds = len(column.values)
    return is_whole and _named(column.name, GROUP_NAMES) and 10 <= kinds <= 0.95 * num_rows


#: Shapes of values that a kind of column has.
_SHAPES = {
    "text": ("text",),
    "target": ("text",),
    "words": ("texts",),
    "tags": ("texts",),
    "labels": ("texts",),
    "answers": ("answers", "texts"),
    "messages": ("messages",),
    "number": ("whole", "fraction"),
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
        return "answers" if "text" in value else "other"
    try:
        number = float(value)
    except (TypeError, ValueError):  # no number
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
