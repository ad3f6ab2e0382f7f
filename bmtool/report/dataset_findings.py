"""What `prepare` found in the rows: copies, leakage between splits, private data, rows that can't be read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bmtool.report.blocks import Block, Cell, Note, Section, Table
from bmtool.report.counts import by_count, present
from bmtool.report.tables import cut, percent, printable

if TYPE_CHECKING:
    from collections.abc import Mapping


#: So many examples of a kind: ids to look up with `bmtool inspect --row`.
MAX_EXAMPLES = 10


def copies(report: Mapping[str, Any]) -> list[Section]:
    """The rows with most copies, and copies that had another label."""
    blocks: list[Block] = []
    top = report.get("top_copies") or []
    if top:
        rows: list[list[Cell]] = [[one["kept"], one["copies"]] for one in top[:MAX_EXAMPLES]]
        caption = "The rows with most copies. The copies went, the row stays."
        blocks.append(Table(["row that stays", "copies"], rows, caption, bars=(1,)))
    conflicts = present(report, "conflicting_labels")
    examples = conflicts.get("examples") or []
    if examples:
        rows = [
            [one["id"], _label(one["label"]), one["kept"], _label(one["kept_label"])] for one in examples[:MAX_EXAMPLES]
        ]
        caption = f"Copies with another label than the row that stays: {len(rows)} of {conflicts['rows']:,}"
        blocks.append(Table(["copy", "its label", "row that stays", "its label"], rows, caption))
    return [Section("Copies", blocks)] if blocks else []


def _label(value: Any) -> str:
    return cut(printable(str(value)), 32)


def leakage(report: Mapping[str, Any]) -> list[Section]:
    """Rows of validation and test that are train rows or nearly, and rows that held a part of a test set."""
    blocks: list[Block] = []
    overlap = present(report, "overlap")
    if overlap:
        rows: list[list[Cell]] = [
            [split, one["rows"], one["similar"], one["edited"], percent(one["similar"] + one["edited"], one["rows"])]
            for split, one in overlap.items()
        ]
        names = ["split", "rows", "similar to a train row", "a train row but for a word", "share of both"]
        blocks.append(Table(names, rows))
        pairs: list[list[Cell]] = [
            [split, row, train, similarity]
            for split, one in overlap.items()
            for kind in ("examples", "edited_examples")
            for row, train, similarity in (one.get(kind) or [])[:MAX_EXAMPLES]
        ]
        if pairs:
            caption = "Examples: similar rows, then rows but for a word"
            blocks.append(Table(["split", "row", "row in train", "similarity"], pairs, caption))
    contaminated = present(report, "contaminated")
    if contaminated:
        rows = [[printable(name), count] for name, count in by_count(contaminated)]
        caption = "Rows that hold a part of a test set; they went"
        blocks.append(Table(["test set", "rows"], rows, caption))
    return [Section("Leakage", blocks)] if blocks else []


def private_data(report: Mapping[str, Any]) -> list[Section]:
    """How many values of each kind were taken out."""
    found = present(report, "scrubbed")
    if not found:
        return []
    rows: list[list[Cell]] = [
        [printable(name), count, "" if count else "finds nothing"] for name, count in by_count(found)
    ]
    caption = "Values that were taken out of the texts, by kind"
    return [Section("Private data", [Table(["kind", "values", ""], rows, caption, bars=(1,))])]


def cleaned_texts(report: Mapping[str, Any]) -> list[Section]:
    """How many texts each cleaner changed."""
    cleaned = present(report, "cleaned")
    if not cleaned:
        return []
    rows: list[list[Cell]] = [
        [printable(name), count, "" if count else "changes nothing"] for name, count in by_count(cleaned)
    ]
    return [Section("Cleaning", [Table(["cleaner", "texts changed", ""], rows, bars=(1,))])]


def rejected_rows(report: Mapping[str, Any]) -> list[Section]:
    """Rows that couldn't be read, by reason and file."""
    blocks: list[Block] = []
    for title, key in (("reason", "rejected_by_reason"), ("file", "rejected_by_file")):
        rows: list[list[Cell]] = [[printable(name), count] for name, count in by_count(present(report, key))]
        if rows:
            blocks.append(Table([title, "rows"], rows, bars=(1,)))
    if blocks:
        blocks.append(Note("rejected.jsonl names each row's file, line and reason."))
    return [Section("Rows that could not be read", blocks)] if blocks else []
