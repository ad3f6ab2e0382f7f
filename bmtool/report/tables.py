"""Tables as Markdown (for `summary.md`, model cards and CI logs) and as plain text for the console."""

from __future__ import annotations

import math
import re
import unicodedata
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bmtool.report.blocks import Cell, Table

DASH = "-"


def show(cell: Cell) -> str:
    """A cell as people read it: 12,345 and 0.8713 and 1.20e-05; yes or no; a dash for what isn't there."""
    if cell is None:
        return DASH
    if isinstance(cell, bool):
        return "yes" if cell else "no"
    if isinstance(cell, int):
        return f"{cell:,}"
    if isinstance(cell, float):
        return _show_float(cell)
    return cell


def _show_float(value: float) -> str:
    if math.isnan(value):
        return DASH
    size = abs(value)
    if size == 0:
        return "0"
    if size < 1e-3:
        return f"{value:.2e}"
    if size < 10:
        return f"{value:.4f}"
    return f"{value:,.2f}" if size < 1000 else f"{value:,.0f}"


def percent(part: int, whole: int) -> str:
    """`12.3 %`; what isn't nothing is never shown as nothing, and what isn't all never as all."""
    if not whole:
        return DASH
    value = 100 * part / whole
    sign, value = ("<", 0.1) if 0 < value < 0.1 else (">", 99.9) if 99.9 < value < 100 else ("", value)
    return f"{sign} {value:.1f} %".strip().replace(" ", "\N{NO-BREAK SPACE}")


def shortened(number: int, unit: str = "") -> tuple[str, str]:
    """A headline such as `192.5 M`, and the number itself for below it; up to seven digits a count is short as it is.

    `unit` is `B` for bytes.
    """
    exact = f"{number:,} bytes" if unit else f"{number:,}"
    for letter, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if number >= (size if unit else max(size, 10**7)):
            return f"{number / size:,.1f} {letter}{unit}", exact
    return exact, ""


def counted(counts: Mapping[str, int]) -> list[str]:
    """What there is of each reason, such as `1,200 tokens cut` for `tokens_cut`; those with none are left out."""
    return [f"{count:,} {reason.replace('_', ' ')}" for reason, count in counts.items() if count]


def numeric_columns(table: Table) -> list[bool]:
    """For each column whether it holds numbers only (and at least one), so that it is right-aligned."""

    def is_numeric(cells: list[Cell]) -> bool:
        present = [cell for cell in cells if cell is not None]
        return bool(present) and all(isinstance(cell, int | float) and not isinstance(cell, bool) for cell in present)

    return [is_numeric([row[i] for row in table.rows]) for i in range(len(table.columns))]


def markdown(table: Table) -> str:
    """A GitHub-flavoured table; pipes and line breaks in cells can't break it."""
    numeric = numeric_columns(table)
    lines = [
        _markdown_row([_escape(column) for column in table.columns]),
        _markdown_row(["---:" if right else "---" for right in numeric]),
    ]
    for index, row in enumerate(table.rows):
        cells = [_escape(show(cell)) for cell in row]
        if index == table.strong:
            cells = [f"**{cell}**" if cell.strip() else cell for cell in cells]
        lines.append(_markdown_row(cells))
    return (f"{_escape(table.caption)}\n\n" if table.caption else "") + "\n".join(lines) + "\n"


def _markdown_row(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _escape(text: str) -> str:
    # An underscore inside a word, as in f1_macro, is no mark in GitHub's Markdown: people read the file as it is, too.
    return re.sub(r"[\\|*`<\[]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])", lambda mark: f"\\{mark[0]}", " ".join(text.split()))


def plain(table: Table, width: int = 0) -> str:
    """Columns lined up with spaces; with `width`, no line is longer than that (long cells end in an ellipsis)."""
    numeric = numeric_columns(table)
    rows = [[printable(column) for column in table.columns]]
    rows += [[printable(show(cell)) for cell in row] for row in table.rows]
    widths = _fit([max(cell_width(row[i]) for row in rows) for i in range(len(table.columns))], width)
    rows.insert(1, ["-" * size for size in widths])
    lines = [
        "  ".join(
            _pad(cut(cell, size), size, right=right) for cell, size, right in zip(row, widths, numeric, strict=True)
        )
        for row in rows
    ]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _fit(widths: list[int], width: int) -> list[int]:
    """Narrow the widest columns until the line fits; a column keeps at least six places."""
    fitted = list(widths)
    while width and sum(fitted) + 2 * (len(fitted) - 1) > width and max(fitted, default=0) > 6:
        fitted[fitted.index(max(fitted))] -= 1
    return fitted


def _pad(cell: str, size: int, *, right: bool) -> str:
    gap = " " * (size - cell_width(cell))
    return gap + cell if right else cell + gap


def printable(text: str) -> str:
    """`text` on one line and without control characters, which could steer a terminal."""
    return "".join(" " if char.isspace() else char for char in text if char.isspace() or _is_harmless(char))


def _is_harmless(char: str) -> bool:
    return unicodedata.category(char) not in {"Cc", "Cf", "Cs", "Co"}


def cell_width(text: str) -> int:
    """Places `text` takes on a terminal: Chinese, Japanese and Korean characters take two, combining marks none."""
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in {"W", "F"} else 1
        for char in text
    )


def cut(text: str, size: int) -> str:
    """`text` in at most `size` places, with an ellipsis where something is missing."""
    if cell_width(text) <= size:
        return text
    kept = ""
    for char in text:
        if cell_width(kept + char) > size - 1:
            break
        kept += char
    return kept + "…"
