"""What `prepare` says about a dataset: the summary for the manifest, and `report.json` beside the rows."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from bmtool.artifacts.files import write_json

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bmtool.console import Console
    from bmtool.contracts import Job, Task
    from bmtool.data.collect import Collected
    from bmtool.data.publish import Published

NO_TOKENS = "no tokens"


def write_report(task: Task | None, collected: Collected, published: Published, job: Job) -> dict[str, Any]:
    """Close the ledger, write `report.json`, warn of what looks wrong; returns the summary."""
    ledger, splits, tokenizer = collected.ledger, published.splits, published.tokenizer
    if tokenizer is not None:
        ledger.drop(NO_TOKENS, sum(one.without_tokens for one in splits.values()))
        ledger.rows_out -= ledger.dropped[NO_TOKENS]
    ledger.check()
    if ledger.rows_out != sum(one.rows for one in splits.values()):
        raise AssertionError(f"the ledger says that {ledger.rows_out} rows came out; the splits hold another number")
    summary: dict[str, Any] = {
        "task": task.model_dump(mode="json") if task is not None else None,
        "splits": {name: one.rows for name, one in splits.items()},
        "ledger": asdict(ledger),
        "rejected": sum(collected.rejected_by_reason.values()),
        "labels": list(published.labels),
        "tokens": {name: one.tokens for name, one in splits.items()} if tokenizer is not None else {},
        "text_bytes": {name: one.text_bytes for name, one in splits.items()},
        "vocab_size": tokenizer.get_vocab_size() if tokenizer is not None else None,
    }
    label_counts = {
        name: {label: counts[label] for label in published.labels}
        for name, counts in published.label_counts.items()
        if published.labels
    }
    details = {
        "label_counts": label_counts,
        "lengths": {name: one.length_summary() for name, one in splits.items()},
        "length_unit": "tokens" if tokenizer is not None else "bytes",
        "funnel": funnel(summary, collected.rejected_by_reason),
    }
    write_json(job.folder / "report.json", summary | details)
    _warn(summary, label_counts, job.console)
    return summary


def funnel(summary: Mapping[str, Any], rejected_by_reason: Mapping[str, int]) -> list[dict[str, Any]]:
    """Rows left after each step, in order."""
    left = summary["ledger"]["rows_in"]
    steps = [{"step": "read", "rows": left}]
    left -= summary["rejected"]
    steps.append({"step": "readable", "rows": left})
    for reason, count in summary["ledger"]["dropped"].items():
        if reason not in rejected_by_reason:
            left -= count
            steps.append({"step": reason, "rows": left})
    return steps


def say_rejected(collected: Collected, console: Console) -> None:
    """One line about rows that couldn't be read, if there are any."""
    rejected = sum(collected.rejected_by_reason.values())
    if rejected:
        files = list(collected.rejected_by_file)
        shown = ", ".join(files[:5]) + (", ..." if len(files) > 5 else "")
        rows_in = collected.ledger.rows_in
        console.say(f"{rejected:,} of {rows_in:,} rows could not be read (in {shown}); rejected.jsonl says why")


def describe_lines(summary: Mapping[str, Any]) -> list[str]:
    """Rows in and out and why, then the splits, labels and tokens."""
    ledger = summary["ledger"]
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in ledger["dropped"].items() if count)
    dropped = f" (dropped: {reasons})" if reasons else ""
    splits = ", ".join(
        f"{name} {summary['splits'][name]:,}" for name in ("train", "validation", "test") if name in summary["splits"]
    )
    lines = [f"{ledger['rows_in']:,} rows in, {ledger['rows_out']:,} out{dropped}", f"splits: {splits}"]
    if summary["labels"]:
        shown = ", ".join(summary["labels"][:12]) + (", ..." if len(summary["labels"]) > 12 else "")
        lines.append(f"{len(summary['labels'])} labels: {shown}")
    if summary["vocab_size"]:
        lines.append(f"{sum(summary['tokens'].values()):,} tokens, vocabulary {summary['vocab_size']:,}")
    return lines


def _warn(summary: Mapping[str, Any], label_counts: Mapping[str, Mapping[str, int]], console: Console) -> None:
    for split, rows in summary["splits"].items():
        if not rows:
            console.warn(f"the {split} split is empty: {summary['ledger']['rows_out']:,} rows are too few for it")
    missing = [label for label, count in label_counts.get("train", {}).items() if not count]
    if missing:
        shown = ", ".join(missing[:5]) + (", ..." if len(missing) > 5 else "")
        console.warn(f"no train row has the label {shown}: a model can't learn it")
    for split in ("validation", "test"):
        unseen = [label for label, count in label_counts.get(split, {}).items() if not count]
        if unseen and summary["splits"][split]:
            shown = ", ".join(unseen[:5]) + (", ..." if len(unseen) > 5 else "")
            console.warn(f"no {split} row has the label {shown}: its numbers say nothing about it")
