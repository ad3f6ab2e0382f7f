"""What `prepare` made of raw rows, for a person: what came in, what left and why, and what the dataset holds now.

Everything comes from `report.json`, but for what steps took, which is in the manifest; a part that isn't in them isn't
on the page. Ids are shown, texts never.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bmtool.data.passes.summary import NEARLY_ALL
from bmtool.report.blocks import Note, Number, Numbers, Section
from bmtool.report.counts import present
from bmtool.report.dataset_contents import labels_of, lengths_of, origins, splits
from bmtool.report.dataset_findings import cleaned_texts, copies, leakage, private_data, rejected_rows
from bmtool.report.dataset_steps import funnel, rule_counts, rules, throughput
from bmtool.report.page import write_report
from bmtool.report.tables import percent, printable, shortened

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


def write_dataset_report(folder: Path, report: Mapping[str, Any], name: str) -> None:
    """Write `report.html` into `folder`: a function of `report` and `name` alone.

    `report` is what report.json says, and under `throughput` what the manifest does: it is another one in every run, so
    its section stands last, and no byte before it depends on it.
    """
    sections = [
        Section("Rows in, rows out", [_headline(report), *_warnings(report), *funnel(report)]),
        *rules(report),
        *splits(report),
        *lengths_of(report),
        *labels_of(report),
        *copies(report),
        *leakage(report),
        *origins(report),
        *cleaned_texts(report),
        *private_data(report),
        *rejected_rows(report),
        *throughput(report),
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
        for rule, count, seen in rule_counts(report)
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


def _share(part: int, whole: int, what: str) -> str:
    return f"{part:,} of {whole:,} {what} ({percent(part, whole)})"


def _some(names: Sequence[str], most: int = 5) -> str:
    return ", ".join(names[:most]) + (f" and {len(names) - most:,} more" if len(names) > most else "")
