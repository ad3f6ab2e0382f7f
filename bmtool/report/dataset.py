"""What `prepare` made of raw rows, for a person: what came in, what left and why, and what the dataset holds now.

Everything comes from `report.json`; a part that isn't in it isn't on the page. Ids are shown, texts never.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bmtool.data.passes.summary import NEARLY_ALL
from bmtool.report.blocks import Block, Cell, Note, Number, Numbers, Section, Table
from bmtool.report.counts import by_count, present
from bmtool.report.dataset_contents import labels_of, lengths_of, origins, splits
from bmtool.report.dataset_findings import copies, leakage, private_data, rejected_rows
from bmtool.report.page import write_report
from bmtool.report.tables import percent, printable, shortened

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


def write_dataset_report(folder: Path, report: Mapping[str, Any], name: str) -> None:
    """Write `report.html` into `folder`: a function of `report` (the content of report.json) and `name` alone."""
    sections = [
        Section("Rows in, rows out", [_headline(report), *_warnings(report), *_funnel(report)]),
        *_rules(report),
        *splits(report),
        *lengths_of(report),
        *labels_of(report),
        *copies(report),
        *leakage(report),
        *origins(report),
        *private_data(report),
        *rejected_rows(report),
    ]
    task = report.get("task")
    subtitle = f"A dataset for {task['type'].replace('_', ' ')}" if task else "A corpus"
    write_report(
        folder / "report.html", title=printable(name), facts=_facts(report), sections=sections, subtitle=subtitle
    )


def _facts(report: Mapping[str, Any]) -> dict[str, str]:
    facts = {split: f"{rows:,} rows" for split, rows in present(report, "splits").items()}
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
    text_bytes = present(report, "text_bytes")
    if text_bytes:
        numbers.append(Number("text", *shortened(sum(text_bytes.values()), "B")))
    tokens = present(report, "tokens")
    if tokens:
        numbers.append(Number("tokens", *shortened(sum(tokens.values()))))
    return Numbers(numbers)


def _warnings(report: Mapping[str, Any]) -> list[Note]:
    """What a person should look at before training on this."""
    texts = [f"The {split} split is empty." for split, rows in present(report, "splits").items() if not rows]
    rows_in = report["ledger"]["rows_in"]
    rejected = report.get("rejected") or 0
    if rejected:
        texts.append(f"{_share(rejected, rows_in, 'rows')} could not be read.")
    texts += [
        f"{rule} drops {_share(count, seen, 'rows')}: is it set right?"
        for rule, count, seen in _rule_counts(report)
        if seen and count >= NEARLY_ALL * seen
    ]
    for split, one in present(report, "overlap").items():
        if one["similar"]:
            texts.append(f"{_share(one['similar'], one['rows'], f'{split} rows')} have a similar row in train.")
        if one["edited"]:
            share = _share(one["edited"], one["rows"], f"{split} rows")
            texts.append(f"{share} have a row in train that differs in a word.")
    conflicts = present(report, "conflicting_labels").get("rows")
    if conflicts:
        texts.append(f"{conflicts:,} copies had another label than the row that stays.")
    for split, counts in present(report, "label_counts").items():
        missing = [label for label, count in counts.items() if not count]
        if missing and present(report, "splits").get(split):
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
        for name, rules in sorted(present(report, "by_rule").items(), key=lambda one: (order.get(one[0], 0), one[0]))
        for rule, count in by_count(rules)
    ]


def _remark(count: int, seen: int) -> str:
    if not count:
        return "drops nothing"
    return "drops nearly everything" if count >= NEARLY_ALL * seen else ""


def _share(part: int, whole: int, what: str) -> str:
    return f"{part:,} of {whole:,} {what} ({percent(part, whole)})"


def _some(names: Sequence[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most:,} more" if len(names) > most else "")
