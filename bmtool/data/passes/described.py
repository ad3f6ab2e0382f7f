"""The few lines that a person sees of a prepared dataset; they come from its summary, without any heavy import."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping


def describe_lines(summary: Mapping[str, Any]) -> list[str]:
    """Rows in and out and why, then the splits, what was scrubbed, labels and tokens."""
    ledger = summary["ledger"]
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in ledger["dropped"].items() if count)
    dropped = f" (dropped: {reasons})" if reasons else ""
    counts = f"splits: {split_counts(summary['splits'])}"
    lines = [f"{ledger['rows_in']:,} rows in, {ledger['rows_out']:,} out{dropped}", counts]
    if summary["scrubbed"]:
        found = [f"{count:,} {name}" for name, count in summary["scrubbed"].items() if count]
        lines.append(f"scrubbed: {', '.join(found) or 'nothing was found'}")
    for name, one in (summary["overlap"] or {}).items():
        if one["similar"] or one["edited"]:
            lines.append(
                f"of {one['rows']:,} {name} rows {one['similar']:,} have a similar row in train, "
                f"{one['edited']:,} one that differs in a word"
            )
    if summary["labels"]:
        shown = ", ".join(summary["labels"][:12]) + (", ..." if len(summary["labels"]) > 12 else "")
        lines.append(f"{len(summary['labels'])} labels: {shown}")
    if summary["vocab_size"]:
        lines.append(f"{sum(summary['tokens'].values()):,} tokens, vocabulary {summary['vocab_size']:,}")
    return lines


def split_counts(splits: Mapping[str, int]) -> str:
    """`train 80, validation 10, test 10`."""
    return ", ".join(f"{name} {splits[name]:,}" for name in ("train", "validation", "test") if name in splits)
