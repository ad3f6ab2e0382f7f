"""Guess which column of a table holds the text, which the label, and which says whose row it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bmtool.commands.columns import LABEL_NAMES, LONGEST_LABEL_CHARS, MOST_LABELS, Column, members, named

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: Names that people give to such columns; a whole word of the name must match.
TEXT_NAMES = "text body review content comment message sentence document description 正文 文本 评论 内容 评价"
#: Those of labels that are numbers, if there are many kinds of them.
SCORE_NAMES = "score rating grade 评分 分数"

#: So many kinds of values may be labels in a column that is named as one (intents, products), if each is in a few rows.
MOST_NAMED_LABELS, ROWS_OF_MANY = 1000, 3

GROUP_NAMES = "customer user author client account reviewer patient speaker member buyer group 用户 客户 作者 顾客"


@dataclass(frozen=True)
class Guess:
    """Which columns are which, and why."""

    text: Column
    label: Column | None
    """one of a few labels, a number, or a list of labels"""
    group: Column | None
    reasons: tuple[str, ...]

    @property
    def task(self) -> tuple[dict[str, Any], str]:
        """(settings of the task that the label is learned by, what it calls that column)."""
        if self.label is not None and self.label.separator is not None:
            return {"type": "text_classification", "multi_label": True}, "labels"
        if self.label is not None and _is_number(self.label):
            return {"type": "text_regression"}, "score"
        return {"type": "text_classification"}, "label"


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
        called = ", ".join(f"'{c.name}' has {len(c.values):,}" for c in others if named(c.name, LABEL_NAMES))
        wanted = f"2 to {MOST_LABELS} short values, each of them in several rows"
        reasons.append(f"no column looks like a label: {wanted}{called and f'; {called}'}")
    else:
        reasons.append(f"'{label.name}' holds {_what_it_holds(label)}")
    if group is not None:
        reasons.append(
            f"'{group.name}' says whose row it is: {len(group.values):,} values; rows of one stay in one split"
        )
    return Guess(text, label, group, tuple(reasons))


def group_of(columns: Iterable[Column], num_rows: int) -> Column | None:
    """The first column that says whose row it is."""
    return next((column for column in columns if _may_group(column, num_rows)), None)


def _text_score(column: Column) -> float:
    """Long texts with spaces; a key, a path or a date has none."""
    prose = column.with_space / max(column.texts, 1)
    return column.mean_chars * (prose + 0.02) * (3 if named(column.name, TEXT_NAMES) else 1)


def _what_it_holds(label: Column) -> str:
    """A label's values, numbers' kinds, or the members of lists, and how it is known."""
    by_name = " and by its name" if named(label.name, LABEL_NAMES) else ""
    if label.separator is not None:
        parts = sorted(members(label.values, label.separator))
        return f"lists of {len(parts)} labels ({', '.join(parts[:8])})"
    values = ", ".join(value for value, _ in sorted(label.values.items())[:8])
    if _is_number(label):
        return f"numbers ({values}){by_name}"
    return f"the label: {len(label.values)} values ({values}){by_name}"


def _may_label(column: Column, num_rows: int) -> bool:
    kinds, by_name = len(column.values), named(column.name, LABEL_NAMES)
    if kinds < 2 or column.scalars < 0.5 * num_rows:
        return False
    if column.separator is not None or (by_name and _is_number(column)):
        return True
    if column.longest > LONGEST_LABEL_CHARS or kinds > (MOST_NAMED_LABELS if by_name else MOST_LABELS):
        return False
    each = column.scalars / kinds
    if kinds > MOST_LABELS:
        return each >= ROWS_OF_MANY
    return by_name or (kinds <= 20 and each >= 5 and not named(column.name, GROUP_NAMES))


def _is_number(column: Column) -> bool:
    """Whether it holds fractions, or whole numbers of many kinds that are called a score."""
    return column.holds("number") and (column.shapes["fraction"] > 0 or named(column.name, SCORE_NAMES))


def _label_score(column: Column) -> tuple[bool, int]:
    return named(column.name, LABEL_NAMES), -len(column.values)


def _may_group(column: Column, num_rows: int) -> bool:
    is_whole = column.scalars == num_rows
    kinds = len(column.values)
    return is_whole and named(column.name, GROUP_NAMES) and 10 <= kinds <= 0.95 * num_rows
