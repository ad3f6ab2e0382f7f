"""Guess which column of a table holds the text, which the label, and which says whose row it is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bmtool.commands.init.columns import (
    LABEL_NAMES,
    LABELS_NAMES,
    LONGEST_LABEL_CHARS,
    MOST_LABELS,
    MOST_NAMED_LABELS,
    ROWS_OF_MANY,
    Column,
    members,
    named,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

#: Names that people give to such columns; a whole word of the name must match.
TEXT_NAMES = "text body review content comment message sentence document description 正文 文本 评论 内容 评价"
#: Those of labels that are numbers, if there are many kinds of them.
SCORE_NAMES = "score rating grade 评分 分数"

GROUP_NAMES = "customer user author client account reviewer patient speaker member buyer group 用户 客户 作者 顾客"


#: The tasks that a column may be learned by, by their names for it.
_SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "label": {"type": "text_classification"},
    "labels": {"type": "text_classification", "multi_label": True},
    "score": {"type": "text_regression"},
}


#: All that is guessed by more than names.
GUESSED = ("text", *_SETTINGS, "group")


@dataclass(frozen=True)
class Guess:
    """Which columns are which, and why."""

    text: Column
    label: Column | None
    """one of a few labels, a number, or a list of labels"""
    group: Column | None
    reasons: tuple[str, ...]
    """of the text, of the label, and of the group if there is one"""
    ours: str
    """what the task that the label is learned by calls that column"""

    @property
    def settings(self) -> dict[str, Any]:
        """Those of that task."""
        return dict(_SETTINGS[self.ours])


def guess(columns: Mapping[str, Column], num_rows: int, given: Mapping[str, Column]) -> Guess | None:
    """Choose columns, but for those that are given by our names; None where no column holds text."""
    told = next((ours for ours in _SETTINGS if ours in given), "")
    free = [column for column in columns.values() if column not in given.values()]
    texts = [column for column in free if column.texts and _text_score(column) > 0]
    if not texts and "text" not in given:
        return None
    text = given.get("text") or max(texts, key=_text_score)
    others = [column for column in free if column is not text]
    guessed = max((c for c in others if _may_label(c, num_rows)), key=_label_score, default=None)
    label = given[told] if told else guessed
    group = given.get("group") or group_of([column for column in others if column is not label], num_rows)
    longest = "" if "text" in given else ", the longest of its kind"
    reasons = [f"'{text.name}' holds the text: {text.mean_chars:,.0f} characters on average{longest}"]
    if label is None:
        nearly = ", ".join(f"'{c.name}' has {len(c.values):,}" for c in others if _nearly_label(c))
        wanted = f"2 to {MOST_LABELS} short values, each of them in several rows"
        score = next((c for c in others if c.has_fractions), None)
        number = f"; if '{score.name}' is what is to be learned: --column score={score.name}" if score else ""
        one_is = f". If one is: --column label=NAME{number}" if others else ""
        reasons.append(f"no column looks like a label: {wanted}{nearly and f'; {nearly}'}{one_is}")
    else:
        reasons.append(f"'{label.name}' holds {_what_it_holds(label)}")
    if group is not None:
        reasons.append(
            f"'{group.name}' says whose row it is: {len(group.values):,} values; rows of one stay in one split"
        )
    return Guess(text, label, group, tuple(reasons), told or _ours(label))


def _ours(label: Column | None) -> str:
    if label is not None and label.holds("labels"):
        return "labels"
    return "score" if label is not None and _is_number(label) else "label"


def group_of(columns: Iterable[Column], num_rows: int) -> Column | None:
    """The first column that says whose row it is."""
    return next((column for column in columns if _may_group(column, num_rows)), None)


def _text_score(column: Column) -> float:
    """Long texts with spaces; a key, a path or a date has none."""
    prose = column.with_space / max(column.texts, 1)
    return column.mean_chars * (prose + 0.02) * (3 if named(column.name, TEXT_NAMES) else 1)


def _what_it_holds(label: Column) -> str:
    """A label's values, numbers' kinds, or the members of lists, and how it is known."""
    names = f"{LABEL_NAMES} {LABELS_NAMES}"
    by_name = " and by its name" if named(label.name, names) else ""
    if label.holds("labels") and label.separator is None:
        return f"lists of labels{by_name}"
    if label.separator is not None:
        parts = sorted(members(label.values, label.separator))
        return f"lists of {len(parts)} labels ({', '.join(parts[:8])})"
    values = ", ".join(value for value, _ in sorted(label.values.items())[:8])
    if _is_number(label):
        return f"numbers ({values}){by_name}"
    return f"the label: {len(label.values)} values ({values}){by_name}"


def _may_label(column: Column, num_rows: int) -> bool:
    kinds, by_name = len(column.values), named(column.name, LABEL_NAMES)
    if column.holds("labels"):
        return column.separator is not None or named(column.name, LABELS_NAMES)
    if kinds < 2 or column.scalars < 0.5 * num_rows:
        return False
    if by_name and _is_number(column):
        return True
    if column.longest > LONGEST_LABEL_CHARS or kinds > (MOST_NAMED_LABELS if by_name else MOST_LABELS):
        return False
    each = column.scalars / kinds
    if kinds > MOST_LABELS:
        return each >= ROWS_OF_MANY
    return by_name or (kinds <= 20 and each >= 5 and not named(column.name, GROUP_NAMES))


def _nearly_label(column: Column) -> bool:
    """Called as labels are, or with short values that come again."""
    comes_again = len(column.values) > 1 and column.scalars >= ROWS_OF_MANY * len(column.values)
    return named(column.name, LABEL_NAMES) or (comes_again and column.longest <= LONGEST_LABEL_CHARS)


def _is_number(column: Column) -> bool:
    """Whether it holds fractions, or whole numbers of many kinds that are called a score."""
    return column.has_fractions or (column.holds("number") and named(column.name, SCORE_NAMES))


def _label_score(column: Column) -> tuple[bool, bool, int]:
    is_list_of_them = column.holds("labels") and column.separator is None
    return named(column.name, LABEL_NAMES), not is_list_of_them, -len(column.values)


def _may_group(column: Column, num_rows: int) -> bool:
    is_whole = column.scalars == num_rows
    kinds = len(column.values)
    return is_whole and named(column.name, GROUP_NAMES) and 10 <= kinds <= 0.95 * num_rows
