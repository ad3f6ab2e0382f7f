"""The report as one HTML file that needs nothing else: it can be mailed, archived, printed and read in the dark."""

from __future__ import annotations

import html
import math
import re
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from bmtool.artifacts.files import write_text
from bmtool.report.blocks import Block, Cell, Figure, Note, Number, Numbers, Section, Table
from bmtool.report.tables import numeric_columns, show

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

STYLE = Path(__file__).with_name("page.css")

#: The browser itself is told to load nothing: no script, no picture, no font from elsewhere.
POLICY = "default-src 'none'; style-src 'unsafe-inline'"

#: A longer table scrolls in a box of its own, so that a page stays short; on paper it is whole.
MOST_ROWS_IN_SIGHT = 40


def write_report(
    path: Path, *, title: str, facts: Mapping[str, str], sections: Sequence[Section], subtitle: str = ""
) -> None:
    """Write `path`, one self-contained HTML file.

    `facts` are short label-value pairs shown under the title (model, data, rows, date); every text is escaped.
    """
    write_text(path, render(title=title, facts=facts, sections=sections, subtitle=subtitle))


def render(*, title: str, facts: Mapping[str, str], sections: Sequence[Section], subtitle: str = "") -> str:
    """The HTML text of a report."""
    head = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        f"<title>{_text(title)}</title>\n<style>\n{STYLE.read_text(encoding='utf-8')}</style>\n</head>\n<body>\n<main>\n"
    )
    lead = f'<p class="subtitle">{_text(subtitle)}</p>\n' if subtitle else ""
    pairs = "".join(f"<div><dt>{_text(name)}</dt><dd>{_text(value)}</dd></div>\n" for name, value in facts.items())
    header = f'<header>\n<h1>{_text(title)}</h1>\n{lead}<dl class="facts">\n{pairs}</dl>\n</header>\n'
    links = "".join(f'<a href="#s{i}">{_text(section.title)}</a>\n' for i, section in enumerate(sections))
    contents = f"<nav>\n{links}</nav>\n" if len(sections) > 2 else ""
    body = "".join(_section(i, section) for i, section in enumerate(sections))
    return f"{head}{header}{contents}{body}</main>\n</body>\n</html>\n"


def _text(text: str) -> str:
    return html.escape(text, quote=True)


def _section(index: int, section: Section) -> str:
    blocks = "".join(_block(block) for block in section.blocks)
    return f'<section id="s{index}">\n<h2>{_text(section.title)}</h2>\n{blocks}</section>\n'


def _block(block: Block) -> str:
    match block:
        case Table():
            return _table(block)
        case Figure():
            return f"<figure>\n{block.svg}\n{_caption(block.caption)}</figure>\n"
        case Note():
            return f'<p class="note {block.tone}">{_text(block.text)}</p>\n'
        case Numbers():
            return '<div class="numbers">\n' + "".join(_number(number) for number in block.numbers) + "</div>\n"


def _caption(caption: str) -> str:
    return f"<figcaption>{_text(caption)}</figcaption>\n" if caption else ""


def _number(number: Number) -> str:
    detail = f'<span class="detail">{_text(number.detail)}</span>' if number.detail else ""
    return (
        f'<div><span class="label">{_text(number.label)}</span>'
        f'<span class="value">{_text(number.value)}</span>{detail}</div>\n'
    )


def _table(table: Table) -> str:
    numeric = numeric_columns(table)
    bars = {column: _bars(table, column) for column in table.bars if numeric[column]}

    def cell(tag: str, content: str, index: int) -> str:
        right = ' class="n"' if numeric[index] else ""
        return f"<{tag}{right}>{content}</{tag}>"

    head = "".join(cell("th", _text(column), i) for i, column in enumerate(table.columns))
    strong = ' class="strong"'
    rows = "".join(
        f"<tr{strong if number == table.strong else ''}>"
        + "".join(cell("td", bars[i][number] if i in bars else _breakable(show(v)), i) for i, v in enumerate(row))
        + "</tr>\n"
        for number, row in enumerate(table.rows)
    )
    caption = f"<caption>{_text(table.caption)}</caption>\n" if table.caption else ""
    content = f"{caption}<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody>\n"
    # A box that scrolls can be reached by keyboard, too.
    scroll = 'class="scroll tall" tabindex="0"' if len(table.rows) > MOST_ROWS_IN_SIGHT else 'class="scroll"'
    return f"<div {scroll}><table>\n{content}</table></div>\n"


def _breakable(text: str) -> str:
    """Long names may be broken behind a slash, a dot or an underscore."""
    return re.sub(r"([/._])(?=[^\W\d_])", r"\1<wbr>", _text(text))


def _bars(table: Table, column: int) -> list[str]:
    """A column's numbers, each with a bar as long as its share of the largest, in a funnel with what was lost, too."""
    values = [_length(row[column]) for row in table.rows]
    longest = max(values) or 1.0
    lost = [0.0, *(max(0.0, a - b) for a, b in pairwise(values))] if table.is_funnel else [0.0] * len(values)
    numbers = [show(row[column]) for row in table.rows]
    places = max(map(len, numbers))  # the same for all, so that bars start at one line and can be compared
    return [
        f'<div class="bar"><i>{_stripe(value / longest)}{_stripe(gone / longest, "lost")}</i>'
        f'<span style="min-width:{places}ch">{_text(number)}</span></div>'
        for value, gone, number in zip(values, lost, numbers, strict=True)
    ]


def _length(cell: Cell) -> float:
    return max(0.0, float(cell)) if isinstance(cell, int | float) and math.isfinite(cell) else 0.0


def _stripe(share: float, style: str = "") -> str:
    name = f' class="{style}"' if style else ""
    return f'<b{name} style="width:{100 * share:.2f}%"></b>' if share else ""


__all__ = ["Block", "Cell", "Figure", "Note", "Number", "Numbers", "Section", "Table", "render", "write_report"]
