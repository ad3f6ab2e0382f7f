"""Parts of `report.json`, in an order that doesn't depend on that of its keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bmtool.data.passes.split import SPLITS

if TYPE_CHECKING:
    from collections.abc import Mapping


def present(report: Mapping[str, Any], key: str) -> dict[str, Any]:
    """A part of the report, its splits in their order; empty where it is missing or null.

    The order of keys in a JSON file says nothing, so none of what is shown follows it.
    """
    found: dict[str, Any] = report.get(key) or {}
    return {split: found[split] for split in SPLITS if split in found} or found


def by_count(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """Names and counts, the most frequent first."""
    return sorted(counts.items(), key=lambda one: (-one[1], one[0]))
