"""What `prepare` made of raw rows, for a person: what came in, what left and why, and what the dataset holds now.

Everything comes from `report.json`; a part that isn't in it isn't on the page. Ids are shown, texts never.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bmtool.data.passes.split import SPLITS
from bmtool.data.passes.summary import NEARLY_ALL
from bmtool.report.blocks import Block, Cell, Note, Number, Numbers, Section, Table
from bmtool.report.page import write_report
from bmtool.report.tables import cut, percent, printable, shortened

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

#: Labels beyond the most frequent ones are in report.json.
MAX_LABELS = 200

#: So many examples of a kind: ids to look up with `bmtool inspect --row`.
MAX_EXAMPLES = 10


def write_dataset_report(folder: Path, report: Mapping[str, Any], name: str) -> None:
    """Write `report.html` into `folder`: a function of `report` (the content of report.json) and `name` alone."""
    sections = [
        Section("Rows in, rows out", [_headline(report), *_warnings(report), *_funnel(report)]),
        *_rules(report),
        *_splits(report),
        *_lengths(report),
        *_labels(report),
        *_copies(report),
        *_overlap(report),
        *_origins(report),
        *_private(report),
        *_rejected(report),
    ]
    task = report.get("task")
    subtitle = f"A dataset for {task['type'].replace('_', ' ')}" if task else "A corpus"
    write_report(
        folder / "report.html", title=printable(name), facts=_facts(report), sections=sections, subtitle=subtitle
    )


# ---------------------------------------------------------------- what came in, what came out


def _facts(report: Mapping[str, Any]) -> dict[str, str]:
    facts = {split: f"{rows:,} rows" for split, rows in _present(report, "splits").items()}
    if report.get("labels"):
        facts["labels"] = f"{len(report['labels']):,}"
    if report.get("vocab_size"):
        facts["vocabulary"] = f"{report['vocab_size']:,}"
    return facts


def _headline(report: Mapping[str, Any]) -> Numbers:
    ledger = report["ledger"]
    rows_in, rows_out = ledger["rows_in"], ledger["rows_out"]
    numbers = [
        Number("rows in", *shortened(rows_in)),
        Number("rows out", shortened(rows_out)[0], f"{percent(rows_out, rows_in)} of them"),
    ]
    text_bytes = _present(report, "text_bytes")
    if text_bytes:
        numbers.append(Number("text", *shortened(sum(text_bytes.values()), "B")))
    tokens = _present(report, "tokens")
    if tokens:
        numbers.append(Number("tokens", *shortened(sum(tokens.values()))))
    return Numbers(numbers)


def _warnings(report: Mapping[str, Any]) -> list[Note]:
    """What a person should look at before training on this."""
    texts = [f"The {split} split is empty." for split, rows in _present(report, "splits").items() if not rows]
    rows_in = report["ledger"]["rows_in"]
    rejected = report.get("rejected") or 0
    if rejected:
        texts.append(f"{_share(rejected, rows_in, 'rows')} could not be read.")
    texts += [
        f"{rule} drops {_share(count, seen, 'rows')}: is it set right?"
        for rule, count, seen in _rule_counts(report)
        if seen and count >= NEARLY_ALL * seen
    ]
    for split, one in _present(report, "overlap").items():
        if one["similar"]:
            texts.append(f"{_share(one['similar'], one['rows'], f'{split} rows')} have a similar row in train.")
    conflicts = _present(report, "conflicting_labels").get("rows")
    if conflicts:
        texts.append(f"{conflicts:,} copies had another label than the row that stays.")
    for split, counts in _present(report, "label_counts").items():
        missing = [label for label, count in counts.items() if not count]
        if missing and _present(report, "splits").get(split):
            texts.append(f"No {split} row has the label {_some(missing)}.")
    return [Note(printable(text), "warning") for text in texts]


def _funnel(report: Mapping[str, Any]) -> list[Block]:
    steps = report.get("funnel") or []
    if not steps:
        return []
    rows: list[list[Cell]] = []
    before = None
    for step in steps:
        lost = before - step["rows"] if before is not None else None
        rows.append([printable(step["step"]), step["rows"], lost, step.get("bytes"), step.get("words")])
        before = step["rows"]
    caption = "What is left after each step, in order. The faint end of a bar is what the step took."
    return [Table(["after", "rows", "lost", "bytes of text", "words"], rows, caption, bars=(1, 3, 4), is_funnel=True)]


def _rules(report: Mapping[str, Any]) -> list[Section]:
    rows: list[list[Cell]] = [
        [rule, count, percent(count, seen), _remark(count, seen)] for rule, count, seen in _rule_counts(report)
    ]
    if not rows:
        return []
    caption = (
        "Each row is counted once, for the first rule that it fails; the share is of the rows the filter had left."
    )
    return [Section("Rules of the filters", [Table(["rule", "rows dropped", "share", ""], rows, caption, bars=(1,))])]


def _rule_counts(report: Mapping[str, Any]) -> list[tuple[str, int, int]]:
    """(filter.rule, rows dropped, rows that the filter was left with) of every rule, in order."""
    seen = report["ledger"]["rows_in"] - (report.get("rejected") or 0)
    before, order = {}, {}
    for place, step in enumerate(report.get("funnel") or []):
        before[step["step"]], order[step["step"]] = seen, place
        seen = step["rows"]
    readable = report["ledger"]["rows_in"] - (report.get("rejected") or 0)
    return [
        (printable(f"{name}.{rule}" if rule != name else name), count, before.get(name, readable))
        for name, rules in sorted(_present(report, "by_rule").items(), key=lambda one: (order.get(one[0], 0), one[0]))
        for rule, count in _by_count(rules)
    ]


def _remark(count: int, seen: int) -> str:
    if not count:
        return "drops nothing"
    return "drops nearly everything" if count >= NEARLY_ALL * seen else ""


# ---------------------------------------------------------------- what the dataset holds


def _splits(report: Mapping[str, Any]) -> list[Section]:
    unit = report.get("length_unit") or "bytes"
    columns = ["split", "rows", "share", "bytes of text", "tokens", f"median {unit}", "90 %", "99 %", "longest"]
    tokens = _present(report, "tokens")
    total = sum(_present(report, "splits").values())
    rows: list[list[Cell]] = []
    for split, count in _present(report, "splits").items():
        lengths = _present(report, "lengths").get(split) or {}
        spread = [lengths.get(key) for key in ("p50", "p90", "p99", "max")]
        text_bytes = _present(report, "text_bytes").get(split)
        rows.append([split, count, percent(count, total), text_bytes, tokens.get(split), *spread])
    if not tokens:
        columns, rows = _without(columns, rows, columns.index("tokens"))
    blocks: list[Block] = [Table(columns, rows, bars=(1,))]
    together = _present(report, "split_by_cluster")
    if together:
        moved = f"; for that {together['moved']:,} of them changed their split" if together["moved"] else ""
        blocks.append(Note(f"{together['rows']:,} rows are in a cluster of similar rows and stay together{moved}."))
    return [Section("Splits", blocks)]


def _lengths(report: Mapping[str, Any]) -> list[Section]:
    histogram = {split: dict(bins) for split, bins in _present(report, "length_histogram").items()}
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


def _labels(report: Mapping[str, Any]) -> list[Section]:
    counts = _present(report, "label_counts")
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


def _origins(report: Mapping[str, Any]) -> list[Section]:
    sections = []
    for key, column, title in (("scripts", "script", "Scripts"), ("languages", "language", "Languages")):
        counted = _present(report, key)
        if not counted:
            continue
        total = sum(counted.values())
        rows: list[list[Cell]] = [
            [printable(code) or "unknown", count, percent(count, total)] for code, count in _by_count(counted)
        ]
        caption = f"Of {total:,} rows that were looked at"
        sections.append(Section(title, [Table([column, "rows", "share"], rows, caption, bars=(1,))]))
    sources = _present(report, "sources")
    if sources:
        names = ("rows_in", "rows", "bytes", "words")
        rows = [
            [printable(str(one.get("name") or index)), *(one.get(name, 0) for name in names)]
            for index, one in sorted(sources.items(), key=lambda one: int(one[0]))
        ]
        columns = ["source", "rows in", "rows out of the filters", "bytes of text", "words"]
        caption = f"{len(rows):,} sources, in their order" if len(rows) > 1 else ""
        sections.append(Section("Sources", [Table(columns, rows, caption, bars=(1, 2))]))
    return sections


# ---------------------------------------------------------------- what was found


def _copies(report: Mapping[str, Any]) -> list[Section]:
    blocks: list[Block] = []
    top = report.get("top_copies") or []
    if top:
        rows: list[list[Cell]] = [[one["kept"], one["copies"]] for one in top[:MAX_EXAMPLES]]
        caption = "The rows with most copies. The copies went, the row stays."
        blocks.append(Table(["row that stays", "copies"], rows, caption, bars=(1,)))
    conflicts = _present(report, "conflicting_labels")
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


def _overlap(report: Mapping[str, Any]) -> list[Section]:
    blocks: list[Block] = []
    overlap = _present(report, "overlap")
    if overlap:
        rows: list[list[Cell]] = [
            [split, one["rows"], one["similar"], percent(one["similar"], one["rows"])] for split, one in overlap.items()
        ]
        blocks.append(Table(["split", "rows", "similar to a train row", "share"], rows))
        pairs: list[list[Cell]] = [
            [split, row, train, similarity]
            for split, one in overlap.items()
            for row, train, similarity in (one.get("examples") or [])[:MAX_EXAMPLES]
        ]
        if pairs:
            blocks.append(Table(["split", "row", "row in train", "similarity"], pairs, "Examples"))
    contaminated = _present(report, "contaminated")
    if contaminated:
        rows = [[printable(name), count] for name, count in _by_count(contaminated)]
        caption = "Rows that hold a part of a test set; they went"
        blocks.append(Table(["test set", "rows"], rows, caption))
    return [Section("Leakage", blocks)] if blocks else []


def _private(report: Mapping[str, Any]) -> list[Section]:
    found = _present(report, "scrubbed")
    if not found:
        return []
    rows: list[list[Cell]] = [[printable(name), count] for name, count in _by_count(found)]
    caption = "Values that were taken out of the texts, by kind"
    return [Section("Private data", [Table(["kind", "values"], rows, caption, bars=(1,))])]


def _rejected(report: Mapping[str, Any]) -> list[Section]:
    blocks: list[Block] = []
    for title, key in (("reason", "rejected_by_reason"), ("file", "rejected_by_file")):
        rows: list[list[Cell]] = [[printable(name), count] for name, count in _by_count(_present(report, key))]
        if rows:
            blocks.append(Table([title, "rows"], rows, bars=(1,)))
    if blocks:
        blocks.append(Note("rejected.jsonl names each row's file, line and reason."))
    return [Section("Rows that could not be read", blocks)] if blocks else []


# ---------------------------------------------------------------- words and numbers


def _present(report: Mapping[str, Any], key: str) -> dict[str, Any]:
    """A part of the report, its splits in their order; empty where it is missing or null.

    The order of keys in a JSON file says nothing, so none of what is shown follows it.
    """
    found: dict[str, Any] = report.get(key) or {}
    return {split: found[split] for split in SPLITS if split in found} or found


def _by_count(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    return sorted(counts.items(), key=lambda one: (-one[1], one[0]))


def _share(part: int, whole: int, what: str) -> str:
    return f"{part:,} of {whole:,} {what} ({percent(part, whole)})"


def _some(names: Sequence[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most:,} more" if len(names) > most else "")


def _without(columns: Sequence[str], rows: Sequence[list[Cell]], column: int) -> tuple[list[str], list[list[Cell]]]:
    def others(cells: Sequence[Any]) -> list[Any]:
        return [*cells[:column], *cells[column + 1 :]]

    return others(columns), [others(row) for row in rows]
