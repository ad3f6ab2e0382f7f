"""The pieces that a report is made of: sections of tables, figures, notes and headline numbers.

They hold facts and no markup; `page` turns them into HTML, `tables` into Markdown and console text.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from collections.abc import Sequence

Cell = str | int | float | bool | None
"""A table's cell: numbers stand right-aligned, None is shown as a dash."""


@dataclass(frozen=True)
class Table:
    """Rows under column names; row `strong` (from 0) is set in bold, such as the model among its baselines."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""
    strong: int | None = None
    bars: Sequence[int] = ()
    """Columns (from 0) of numbers that are drawn as bars besides, the largest of a column as long as its cell."""
    is_funnel: bool = False
    """Whether a bar also shows, faintly, what was lost since the row above it."""


@dataclass(frozen=True)
class Figure:
    """A drawing from `plots`: SVG text, shown as it is."""

    svg: str
    caption: str = ""


@dataclass(frozen=True)
class Note:
    """One sentence worth seeing: a passed gate is `good`, a failed one `bad`, something to keep in mind `warning`."""

    text: str
    tone: Literal["plain", "good", "warning", "bad"] = "plain"


@dataclass(frozen=True)
class Number:
    """A headline number: `accuracy`, `0.872`, `0.851 to 0.892, n 1,500`."""

    label: str
    value: str
    detail: str = ""


@dataclass(frozen=True)
class Numbers:
    """Headline numbers side by side."""

    numbers: Sequence[Number]


Block = Table | Figure | Note | Numbers


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it."""

    title: str
    blocks: Sequence[Block]
