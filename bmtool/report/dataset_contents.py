"""What a dataset holds now: its splits, lengths, labels, scripts and sources."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bmtool.report.blocks import Block, Cell, Note, Section, Table
from bmtool.report.counts import by_count, present
from bmtool.report.tables import percent, printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence


#: Labels beyond the most frequent ones are in report.json.
MAX_LABELS = 200


def splits(report: Mapping[str, Any]) -> list[Section]:
    """How many rows, bytes and tokens each split has, and which rows stay together."""
    unit = report.get("length_unit") or "bytes"
    columns = ["split", "rows", "share", "bytes of text", "tokens", f"median {unit}", "90 %", "99 %", "longest"]
    tokens = present(report, "tokens")
    total = sum(present(report, "splits").values())
    rows: list[list[Cell]] = []
    for split, count in present(report, "splits").items():
        lengths = present(report, "lengths").get(split) or {}
        spread = [lengths.get(key) for key in ("p50", "p90", "p99", "max")]
        text_bytes = present(report, "text_bytes").get(split)
        rows.append([split, count, percent(count, total), text_bytes, tokens.get(split), *spread])
    if not tokens:
        columns, rows = _without(columns, rows, columns.index("tokens"))
    blocks: list[Block] = [Table(columns, rows, bars=(1,))]
    together = present(report, "split_by_cluster")
    if together:
        moved = f"; for that {together['moved']:,} of them changed their split" if together["moved"] else ""
        blocks.append(Note(f"{together['rows']:,} rows are in a cluster of similar rows and stay together{moved}."))
    return [Section("Splits", blocks)]


def lengths_of(report: Mapping[str, Any]) -> list[Section]:
    """Rows by length, in powers of two."""
    histogram = {split: dict(bins) for split, bins in present(report, "length_histogram").items()}
    found = {edge for bins in histogram.values() for edge in bins}
    if not found:
        return []
    unit = report.get("length_unit") or "bytes"
    # Powers of two without a gap: an empty bin is part of the picture.
    edges = sorted(found | {2**power for power in range(max(found).bit_length()) if 2**power > min(found)})
    rows: list[list[Cell]] = [[_bin(edge), *(bins.get(edge, 0) for bins in histogram.values())] for edge in edges]
    bars = tuple(range(1, len(histogram) + 1))
    return [
        Section("Lengths", [Table([unit, *histogram], rows, f"Rows by length in {unit}, a split a column", bars=bars)])
    ]


def _bin(edge: int) -> str:
    return f"{edge:,} to {2 * edge - 1:,}" if edge > 1 else str(edge)


def labels_of(report: Mapping[str, Any]) -> list[Section]:
    """Rows by label and split, and how unequal they are."""
    counts = present(report, "label_counts")
    labels = list(report.get("labels") or [])
    if not labels or not counts:
        return []
    train = counts.get("train") or next(iter(counts.values()))
    total = sum(train.values())
    common = sorted(labels, key=lambda label: -train.get(label, 0))[:MAX_LABELS]
    rows: list[list[Cell]] = [
        [printable(label), *(one.get(label, 0) for one in counts.values()), percent(train.get(label, 0), total)]
        for label in common
    ]
    bars = tuple(range(1, len(counts) + 1))
    blocks: list[Block] = [Table(["label", *counts, "share of train"], rows, bars=bars)]
    least, most = min(train.values(), default=0), max(train.values(), default=0)
    if least:
        blocks.insert(
            0, Note(f"The most frequent label of train has {most / least:,.1f} times the rows of the rarest.")
        )
    if len(labels) > len(common):
        blocks.append(Note(f"{len(labels) - len(common):,} rarer labels are in report.json."))
    return [Section("Labels", blocks)]


def origins(report: Mapping[str, Any]) -> list[Section]:
    """Rows by script, language and source."""
    sections = []
    for key, column, title in (("scripts", "script", "Scripts"), ("languages", "language", "Languages")):
        counted = present(report, key)
        if not counted:
            continue
        total = sum(counted.values())
        rows: list[list[Cell]] = [
            [printable(code) or "unknown", count, percent(count, total)] for code, count in by_count(counted)
        ]
        caption = f"Of {total:,} rows that were looked at"
        if key == "scripts" and not present(report, "languages"):
            caption += ". Languages are told where a filter `language` asks for some (`bmtool list filters language`)"
        sections.append(Section(title, [Table([column, "rows", "share"], rows, caption, bars=(1,))]))
    sources = present(report, "sources")
    if sources:
        names = ("rows_in", "rows", "bytes", "words")
        rows = [
            [printable(str(one.get("name") or index)), *(one.get(name, 0) for name in names)]
            for index, one in sorted(sources.items(), key=lambda one: int(one[0]))
        ]
        columns = ["source", "rows in", "rows out of the filters", "bytes of text", "words"]
        order = f"{len(rows):,} sources, in their order. " if len(rows) > 1 else ""
        caption = f"{order}Bytes and words are those of all rows that could be read, before the filters"
        sections.append(Section("Sources", [Table(columns, rows, caption, bars=(1, 2))]))
    return sections


def _without(columns: Sequence[str], rows: Sequence[list[Cell]], column: int) -> tuple[list[str], list[list[Cell]]]:
    def others(cells: Sequence[Any]) -> list[Any]:
        return [*cells[:column], *cells[column + 1 :]]

    return others(columns), [others(row) for row in rows]
