"""Which of a dataset's rules match nothing: cleaners that change no text, rules that drop no row, kinds never found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bmtool.data.passes.reasons import DUPLICATE, NEAR

if TYPE_CHECKING:
    from bmtool.data.passes.collected import Collected
    from bmtool.data.passes.units import RowRules


def idle_rules(rules: RowRules, collected: Collected) -> list[str]:
    """A line for all cleaners, for each filter, for each way to find copies, and for all scrubbers that match nothing.

    A rule of a filter matches nothing, too, where the rules before it had what it would have dropped.
    """
    lines = []
    cleaners = [name for name, count in collected.cleaned.items() if not count]
    if cleaners:
        lines.append(f"clean: {_listed(cleaners)} change{'s' if len(cleaners) == 1 else ''} no text")
    for name in dict.fromkeys(one.name() for one in rules.filters):
        counts = {rule: rows for rule, (rows, _, _) in collected.by_rule.get(name, {}).items()}
        idle = [rule for rule, rows in counts.items() if not rows]
        if len(idle) == len(counts):
            lines.append(f"{name} drops nothing")
        elif idle:
            lines.append(f"{name}: {len(idle)} of {len(counts)} rules drop nothing: {', '.join(idle)}")
    lines += [f"{way} drops nothing" for way in (DUPLICATE, NEAR) if collected.losses.get(way, [1])[0] == 0]
    scrubbers = [name for name, count in collected.scrubbed.items() if not count]
    if scrubbers:
        lines.append(f"scrub: {_listed(scrubbers)} find{'s' if len(scrubbers) == 1 else ''} nothing to take out")
    return lines


def _listed(names: list[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
