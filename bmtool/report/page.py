"""The report as one HTML file that needs nothing else: it can be mailed, archived, printed and read in the dark."""

from __future__ import annotations

import html
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

    def cell(tag: str, value: Cell, index: int) -> str:
        right = ' class="n"' if numeric[index] else ""
        return f"<{tag}{right}>{_text(show(value))}</{tag}>"

    head = "".join(cell("th", column, i) for i, column in enumerate(table.columns))
    strong = ' class="strong"'
    rows = "".join(
        f"<tr{strong if index == table.strong else ''}>"
        + "".join(cell("td", value, i) for i, value in enumerate(row))
        + "</tr>\n"
        for index, row in enumerate(table.rows)
    )
    caption = f"<caption>{_text(table.caption)}</caption>\n" if table.caption else ""
    content = f"{caption}<thead><tr>{head}</tr></thead>\n<tbody>\n{rows}</tbody>\n"
    return f'<div class="scroll"><table>\n{content}</table></div>\n'


__all__ = ["Block", "Cell", "Figure", "Note", "Number", "Numbers", "Section", "Table", "render", "write_report"]
