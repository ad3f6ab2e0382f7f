"""A comparison as people read it: tables of what differs, and of the numbers of both."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from bmtool.config.changes import brief
from bmtool.models.files.task_folders import whole_of
from bmtool.report.blocks import Table
from bmtool.report.tables import cut, plain, printable, show

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bmtool.commands.compare.command import Compared
    from bmtool.commands.compare.numbers import Pair
    from bmtool.commands.compare.origin import Difference
    from bmtool.commands.compare.scores import Measured, Scored

#: More files that differ are counted.
_SHOWN = 12

#: Digits behind the point of metrics, as evaluate says them.
_DIGITS = 3


def page(results: Sequence[Compared], alone: dict[str, list[str]], paths: tuple[str, str], width: int) -> Iterator[str]:
    """The lines, none longer than `width`."""
    for number, one in enumerate(results):
        if number:
            yield ""
        if one.name:
            yield one.name
        yield from (cut(line, width) for line in _heads(one, paths))
        if one.is_same:
            yield "the same artifact: nothing differs"
            continue
        for table in _tables(one):
            yield "\n" + plain(table, width).rstrip()
        notes = [*_notes(one), *one.notes]
        yield from (cut(printable(note), width) for note in (["", *notes] if notes else []))
    for side, names in alone.items():
        if names:
            yield cut(f"\nonly in {side}: {', '.join(names)}", width)


def _heads(one: Compared, paths: tuple[str, str]) -> Iterator[str]:
    """`a  runs/x/finetune (finetune-104d9ac79387, 2026-11-30T23:54:44+00:00)`."""
    for side, path, facts in zip("ab", paths, (one.a, one.b), strict=True):
        where = f"{path.rstrip('/')}/{one.name}" if one.name else path
        yield f"{side}  {printable(where)} ({_in_store(facts['artifact'])}, {facts['finished']})"


def _in_store(artifact: str) -> str:
    """`finetune-104d9ac79387`, or `finetune-104d9ac79387/stars` of one of several tasks."""
    folder = Path(artifact)
    return str(folder.relative_to(whole_of(folder).parent))


def _tables(one: Compared) -> Iterator[Table]:
    origin = one.origin
    for title, differences in (
        ("settings", origin.settings),
        ("inputs", origin.inputs),
        ("made with", origin.environment),
    ):
        if differences:
            yield Table([title, "a", "b"], [_cells(member) for member in differences[:_SHOWN]])
    if one.numbers:
        yield Table([one.kind, "a", "b", "b - a", ""], [_row(pair) for pair in one.numbers])
    for measured in one.measured:
        for title, scores in (
            (f"{measured.dataset} {measured.split}", measured.scores),
            (f"{measured.dataset} {measured.split}, seeds", measured.seeds),
        ):
            if scores:
                columns = [title, "a", "b", "b - a, paired", "n", "b is"]
                yield Table(columns, [_score_row(score) for score in scores])


def _cells(one: Difference) -> list[str]:
    return [one.key, brief(one.a), brief(one.b)]


def _row(pair: Pair) -> list[Any]:
    a, b = pair.a, pair.b
    if not _is_number(a) or not _is_number(b) or a == b:
        return [pair.name, _text(a), _text(b), "", ""]
    share = f"{(b - a) / abs(a):+.1%}" if a else ""
    return [pair.name, show(a), show(b), f"{'+' if b > a else '-'}{show(abs(b - a))}", share]


def _text(value: Any) -> str:
    return show(value if isinstance(value, str | int | float | bool) else None)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _score_row(one: Scored) -> list[Any]:
    shown = [_interval(one.a), _interval(one.b), _interval(one.difference, sign="+")]
    return [one.metric, *shown, None if one.difference is None else int(one.difference["n"]), one.verdict]


def _interval(score: dict[str, float] | None, sign: str = "") -> str | None:
    if score is None:
        return None
    value, low, high = (f"{score[key]:{sign}.{_DIGITS}f}" for key in ("value", "low", "high"))
    return f"{value} ({low} to {high})"


def _notes(one: Compared) -> Iterator[str]:
    origin = one.origin
    for what, differences in (
        ("settings", origin.settings),
        ("inputs", origin.inputs),
        ("things that it was made with", origin.environment),
    ):
        if len(differences) > _SHOWN:
            yield f"{len(differences) - _SHOWN:,} more {what} differ: --json lists them"
    for measured in one.measured:
        yield from _on_rows(measured)


def _on_rows(measured: Measured) -> Iterator[str]:
    """Which rows the differences are of, where they aren't all; and why a metric has none."""
    rows = measured.rows
    parts = [
        f"{rows.get(key, 0):,} {what}"
        for key, what in (
            ("only_a", "only in a"),
            ("only_b", "only in b"),
            ("judged_otherwise", "have another right answer"),
        )
        if rows.get(key)
    ]
    if parts:
        common = f"differences are of the {rows['both']:,} that both have"
        yield f"{measured.dataset}: NOT THE SAME ROWS: {common}; {', '.join(parts)}"
    reasons: dict[str, list[str]] = {}
    for one in [*measured.scores, *measured.seeds]:
        if one.why_not:
            reasons.setdefault(one.why_not, []).append(one.metric)
    for reason, metrics in reasons.items():
        yield f"{measured.dataset}: no difference of {', '.join(dict.fromkeys(metrics))}: {reason}"
