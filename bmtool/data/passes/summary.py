"""What `prepare` says about a dataset: the summary for the manifest, and `report.json` beside the rows.

`report.json` holds facts about the data and is the same however it was made; how long steps took is in the manifest,
and the last section of `report.html`.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from bmtool.artifacts.files import write_json
from bmtool.data.passes.idle import idle_rules
from bmtool.data.readers.advice import CONVERT, DECIMAL_COMMA, NOT_UTF8, WITH_POINT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bmtool.console import Console
    from bmtool.contracts import Task
    from bmtool.data.passes.collected import Collected
    from bmtool.data.passes.draft import Draft
    from bmtool.data.passes.publish import Published
    from bmtool.data.passes.units import RowRules

#: A filter that drops more than this share of what it sees is probably set wrong.
NEARLY_ALL = 0.9


def write_report(task: Task | None, draft: Draft, published: Published) -> tuple[dict[str, Any], dict[str, Any]]:
    """Check that the ledger balances, write `report.json`, warn of what looks wrong.

    Returns:
        The summary for the manifest; and for the page all that `report.json` says, and what steps took.
    """
    summary = _summary(task, draft, published)
    label_counts = {
        name: {label: counts[label] for label in published.labels}
        for name, counts in published.label_counts.items()
        if published.labels
    }
    collected = draft.collected
    conflicts = draft.decisions.facts.get("conflicting_labels", {"rows": 0})["rows"]
    times = draft.decisions.facts.get("times_as_text")
    summary["warnings"] = _warnings(summary, label_counts, collected) + _of_conflicts(conflicts) + _of_times(times)
    for warning in summary["warnings"]:
        draft.job.console.warn(warning)
    for line in idle_rules(draft.rules, collected):
        draft.job.console.say(line)
    report = summary | {"label_counts": label_counts} | _details(draft, published)
    write_json(draft.job.folder / "report.json", report)
    kept = {
        "rows": [unit.key for unit in collected.units],
        "tokens": [one.folder.name for one in draft.tokens],
        "near": draft.decisions.notes,
        "shards": [shard.key for one in published.splits.values() for shard in one.shards],
    }
    took = throughput(collected)
    return summary | {"environment": {"kept": kept, "throughput": took}}, report | {"throughput": took}


def _summary(task: Task | None, draft: Draft, published: Published) -> dict[str, Any]:
    """The numbers of the manifest; the ledger must balance."""
    collected, splits, tokenizer = draft.collected, published.splits, draft.tokenizer
    ledger = collected.ledger
    ledger.check()
    if ledger.rows_out != sum(one.rows for one in splits.values()):
        raise AssertionError(f"the ledger says that {ledger.rows_out} rows came out; the splits hold another number")
    return {
        "task": task.model_dump(mode="json") if task is not None else None,
        "splits": {name: one.rows for name, one in splits.items()},
        "ledger": asdict(ledger),
        "rejected": sum(collected.rejected_by_reason.values()),
        "by_rule": {
            name: {rule: rows for rule, (rows, _, _) in rules.items()} for name, rules in collected.by_rule.items()
        },
        "scrubbed": dict(collected.scrubbed),
        "labels": list(published.labels),
        "tokens": {name: one.tokens for name, one in splits.items()} if tokenizer is not None else {},
        "text_bytes": {name: one.text_bytes for name, one in splits.items()},
        "vocab_size": tokenizer.get_vocab_size() if tokenizer is not None else None,
        "overlap": draft.decisions.facts.get("overlap"),
    }


def _details(draft: Draft, published: Published) -> dict[str, Any]:
    """What only `report.json` says."""
    collected, splits = draft.collected, published.splits
    tokens = sum(one.tokens for one in splits.values()) if draft.tokenizer is not None else None
    steps = funnel(collected, tokens)
    rate = tokens / max(steps[-1]["words"], 1) if tokens is not None else None
    return {
        "lengths": {name: one.length_summary() for name, one in splits.items()},
        "length_histogram": {name: one.length_histogram() for name, one in splits.items()},
        "rejected_by_reason": collected.rejected_by_reason,
        "rejected_by_file": collected.rejected_by_file,
        "length_unit": "tokens" if draft.tokenizer is not None else "bytes",
        "funnel": steps,
        "tokens_per_word": rate,
        "rules": {
            name: {rule: _counts(lost, rate) for rule, lost in rules.items()}
            for name, rules in collected.by_rule.items()
        },
        "cleaned": collected.cleaned,
        "sources": {
            str(index): {"name": _source_name(index, draft.rules, collected), **counts}
            for index, counts in sorted(collected.by_source.items())
        },
        **{name: value for name, value in draft.decisions.facts.items() if name != "overlap"},
    }


def _source_name(index: int, rules: RowRules, collected: Collected) -> str:
    """`jsonl: reviews.jsonl`, or `jsonl: a.jsonl and 7 more`; the files are named as rejections name them."""
    files = list(
        dict.fromkeys(name for unit in collected.units if unit.source == index for name in unit.facts["pieces"])
    )
    shown = files[0] if files else "no rows"
    more = f" and {len(files) - 1:,} more" if len(files) > 1 else ""
    return f"{rules.sources[index].name()}: {shown}{more}"


def funnel(collected: Collected, tokens: int | None = None) -> list[dict[str, Any]]:
    """Rows, bytes and words left after each step, in order; bytes and words as they are after cleaning.

    With scrubbers one of the steps is theirs: no row leaves at it.

    `tokens` are those of the rows that stay, in a corpus. Rows that went have none: for the steps before the last they
    are estimated, by the words there and the tokens that a word of the rows that stay has.
    """
    ledger = collected.ledger
    left = [ledger.rows_in, collected.totals["bytes"], collected.totals["words"]]
    steps: list[dict[str, Any]] = [{"step": "read", "rows": left[0]}]
    left[0] -= sum(collected.rejected_by_reason.values())
    steps.append({"step": "readable", **_counts(left)})
    for reason, lost in collected.losses.items():
        # Rows that were sampled away or empty were gone before bytes and words were counted.
        before_counting = reason in BEFORE_COUNTING
        left = [left[0] - lost[0], *(a if before_counting else a - b for a, b in zip(left[1:], lost[1:], strict=True))]
        steps.append({"step": reason, **_counts(left)})
    if tokens is not None:
        for step in steps[1:-1]:
            step["estimated_tokens"] = round(step["words"] * tokens / max(left[2], 1))
        steps[-1]["tokens"] = tokens
    return steps


BEFORE_COUNTING = ("not sampled", "empty text")


def _counts(left: Sequence[int], tokens_per_word: float | None = None) -> dict[str, int]:
    counts = dict(zip(("rows", "bytes", "words"), left, strict=True))
    return counts | ({"estimated_tokens": round(left[2] * tokens_per_word)} if tokens_per_word is not None else {})


#: Below this a speed says more about the clock than about the step.
MEASURED_SECONDS = 0.01


def throughput(collected: Collected) -> dict[str, dict[str, float | None]]:
    """CPU seconds of each step and millions of bytes of rows a second, of what was worked on in this run.

    These are facts about the run, not about the dataset: what an earlier run kept took none.
    """
    return {
        step: {
            "cpu_seconds": round(seconds, 3),
            "mb": round(collected.worked_bytes[step] / 1e6, 3),
            "mb_per_second": (
                round(collected.worked_bytes[step] / 1e6 / seconds, 1) if seconds >= MEASURED_SECONDS else None
            ),
        }
        for step, seconds in collected.seconds.items()
    }


def say_rejected(collected: Collected, console: Console) -> None:
    """One line about rows that couldn't be read, if there are any."""
    rejected = sum(collected.rejected_by_reason.values())
    if rejected:
        files = list(collected.rejected_by_file)
        shown = ", ".join(files[:5]) + (", ..." if len(files) > 5 else "")
        rows_in = collected.ledger.rows_in
        console.say(f"{rejected:,} of {rows_in:,} rows could not be read (in {shown}); rejected.jsonl says why")
    if NOT_UTF8 in collected.rejected_by_reason:
        console.warn(f"{collected.rejected_by_reason[NOT_UTF8]:,} rows aren't UTF-8. {CONVERT}")
    commas = sum(count for reason, count in collected.rejected_by_reason.items() if reason.startswith(DECIMAL_COMMA))
    if commas:
        console.warn(f"{commas:,} rows have {DECIMAL_COMMA}. {WITH_POINT}")


def _warnings(
    summary: Mapping[str, Any], label_counts: Mapping[str, Mapping[str, int]], collected: Collected
) -> list[str]:
    """What looks wrong, to be told now and again by every command that finds the dataset up to date."""
    warnings = [
        f"the {split} split is empty: none of {summary['ledger']['rows_out']:,} rows came to be in it"
        for split, rows in summary["splits"].items()
        if not rows
    ]
    missing = [label for label, count in label_counts.get("train", {}).items() if not count]
    if missing:
        warnings.append(f"no train row has the label {_shown(missing)}: a model can't learn it")
    for split in ("validation", "test"):
        unseen = [label for label, count in label_counts.get(split, {}).items() if not count]
        if unseen and summary["splits"][split]:
            warnings.append(f"no {split} row has the label {_shown(unseen)}: its numbers say nothing about it")
    return warnings + _alike(label_counts) + _greedy_rules(summary, collected)


def _of_conflicts(rows: int) -> list[str]:
    if not rows:
        return []
    return [f"{rows:,} copies had another label than the row that stays; report.json names some (conflicting_labels)"]


def _of_times(times: Mapping[str, int] | None) -> list[str]:
    if times is None:
        return []
    numbers, rows = times["numbers"], times["rows"]
    told = f"{numbers:,} of {rows:,} times are numbers, the others aren't"
    return [f"split.time: {told}; so all are ordered as text, 10 before 9. Mend the others, or leave these rows out"]


def _shown(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")


def _alike(label_counts: Mapping[str, Mapping[str, int]]) -> list[str]:
    """Name labels that differ only by white space, case, width or a decimal point, as 1 and 1.0 do."""
    alike: dict[str, list[str]] = {}
    for label in sorted({label for one in label_counts.values() for label in one}):
        plain = unicodedata.normalize("NFKC", label).strip().casefold()
        alike.setdefault(re.sub(r"^([+-]?\d+)\.0+$", r"\1", plain), []).append(label)
    pairs = [" and ".join(map(repr, labels)) for labels in alike.values() if len(labels) > 1]
    if not pairs:
        return []
    return [f"labels that are written alike are told apart: {_shown(pairs)}. If they mean the same, mend the source"]


def _greedy_rules(summary: Mapping[str, Any], collected: Collected) -> list[str]:
    """Say which rules drop nearly everything; a filter, where only all of its rules together do."""
    warnings = []
    left = summary["ledger"]["rows_in"] - summary["rejected"]
    for reason, (rows, _, _) in collected.losses.items():
        if left and rows >= NEARLY_ALL * left and reason in collected.by_rule:
            alone = [(f"{reason}.{rule}", one) for rule, (one, _, _) in collected.by_rule[reason].items()]
            name, most = max(alone, key=lambda rule: rule[1])
            name, most = (name, most) if most >= NEARLY_ALL * left else (reason, rows)
            warnings.append(f"{name} drops {most:,} of {left:,} rows ({most / left:.0%}): is it set right?")
        left -= rows
    return warnings
