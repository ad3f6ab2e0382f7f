"""What was lost of examples on their way into a model, and by which setting, as people are told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bmtool.report.tables import counted

if TYPE_CHECKING:
    from bmtool.contracts import Examples, Task


def cut_lines(task: Task, examples: Examples, max_seq_length: int) -> list[str]:
    """All counts in a line, each reason with the setting that it is about, and a line for each row that is named."""
    limited: dict[str, dict[str, int]] = {}
    others: dict[str, int] = {}
    for reason, count in examples.cut.items():
        if count and reason != "tokens_cut":
            own = limited.setdefault(task.limit(reason, max_seq_length), {}) if reason.endswith("_cut") else others
            own[reason] = count
    tokens = {"tokens_cut": examples.cut.get("tokens_cut", 0)}
    for own in [*limited.values()] if len(limited) == 1 else [others]:
        own |= tokens  # of several limits it isn't known which one lost them
    parts = [f"{', '.join(counted(own))} at {limit}" for limit, own in limited.items()]
    parts += counted(others)
    return [*(["; ".join(parts)] if parts else []), *examples.notes]
