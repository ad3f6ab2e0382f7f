"""The numbers that two artifacts of one kind recorded, side by side."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bmtool.artifacts.manifest import Artifact

#: What of a summary is compared, in this order: of a dataset the way of its rows, of a training what came out.
_COMPARED = {
    "dataset": (
        "ledger.rows_in",
        "rejected",
        "ledger.dropped",
        "by_rule",
        "ledger.rows_out",
        "splits",
        "tokens",
        "text_bytes",
        "vocab_size",
        "scrubbed",
        "overlap",
    ),
    "checkpoint": (
        "task",
        "objective",
        "tasks",
        "validation",
        "best",
        "steps",
        "epochs",
        "stopped_early",
        "tokens",
        "tokens_per_epoch",
        "tokens_per_second",
        "seconds",
        "flop_utilisation",
        "rows",
        "pieces",
        "domains",
        "learning_rate",
        "per_device_batch_tokens",
        "parameters",
        "skipped_steps",
        "cut",
    ),
    "bundle": ("formats", "split"),
}

#: What stands among the numbers and is a setting.
_SETTINGS = ("threshold", "tolerance")


@dataclass(frozen=True)
class Pair:
    """A number, or a word, of both; None where one doesn't have it."""

    name: str
    a: Any
    b: Any


def compare_numbers(a: Artifact, b: Artifact) -> list[Pair]:
    """What both recorded, or one of them."""
    ours, theirs = (dict(_numbers(one)) for one in (a, b))
    return [Pair(name, ours.get(name), theirs.get(name)) for name in _in_order(list(ours), list(theirs))]


def _numbers(artifact: Artifact) -> Iterator[tuple[str, Any]]:
    for key in _COMPARED.get(artifact.kind, ()):
        value: Any = artifact.summary
        for part in key.split("."):
            value = value.get(part) if isinstance(value, dict) else None
        yield from _leaves(key.removeprefix("ledger."), value)


def _leaves(name: str, value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict):
        for key, member in value.items():
            if key not in _SETTINGS:
                yield from _leaves(f"{name}.{key}", member)
    elif isinstance(value, str | int | float):
        yield name, value


def _in_order(ours: list[str], theirs: list[str]) -> list[str]:
    """All names, those of one side alone behind the one that stands before them there."""
    merged = list(ours)
    for place, name in enumerate(theirs):
        if name not in merged:
            before = merged.index(theirs[place - 1]) + 1 if place else 0
            merged.insert(before, name)
    return merged
