"""What datasets of a file must not contradict: which others they name, and by which rules they are limited."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bmtool.data.passes.reasons import reasons_of
from bmtool.errors import close_to, did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bmtool.config.document import KeyPath
    from bmtool.runner.pipeline import Pipeline


def between_datasets(pipeline: Pipeline, names: Sequence[str]) -> Iterator[tuple[KeyPath, str]]:
    """Datasets that name others: which must be there, be of the right kind, and not need each other in a circle.

    `names` are all that the file has, those with faults of their own included.
    """
    for name in pipeline.prepare:
        for path, other in _named_by(pipeline, name):
            known = pipeline.prepare.get(other)
            if other not in names:
                yield path, no_dataset(other, names)
            elif "decontaminate" in path and known is not None and known.task is None:
                yield path, f"'{other}' is a corpus. A dataset with a task is needed here: its test rows are looked up"
            elif path[2] == "tokenizer" and known is not None and known.task is not None:
                yield path, f"'{other}' has a task. A corpus is needed here: its tokenizer is taken"
            elif "against" in path and known is not None and known.near is None:
                yield path, f"'{other}' keeps no sketches of its rows: set prepare.{other}.deduplicate: [near]"
            elif name in _reached_from(pipeline, other):
                text = "itself: a circle" if other == name else f"'{name}' itself: a circle"
                yield path, f"'{other}' needs {text}"


def no_dataset(name: str, names: Sequence[str]) -> str:
    """What to do about a name that no dataset has."""
    hint = did_you_mean(name, names) or f" There: {', '.join(names)}."
    return f"there is no dataset '{name}' under 'prepare'.{hint} A path needs a slash: './{name}'"


def _named_by(pipeline: Pipeline, name: str) -> Iterator[tuple[KeyPath, str]]:
    """(where, name) of the datasets that one names."""
    config = pipeline.prepare.get(name)
    start: KeyPath = ("prepare", name)
    tested = getattr(config, "decontaminate", ())
    found = [((*start, "decontaminate", index), one) for index, one in enumerate(tested)]
    for number, way in enumerate(getattr(config, "deduplicate", ())):
        against = getattr(way, "against", ())
        found += [((*start, "deduplicate", number, "against", index), one) for index, one in enumerate(against)]
    taken = getattr(config, "taken_tokenizer", None)
    if taken is not None:
        found.append(((*start, "tokenizer", "from"), taken.source))
    yield from ((path, one.value) for path, one in found if one.form == "name")


def _reached_from(pipeline: Pipeline, name: str) -> set[str]:
    """The datasets that one needs, directly or not."""
    found: set[str] = set()
    todo = [name]
    while todo:
        new = {other for _, other in _named_by(pipeline, todo.pop())} - found
        found |= new
        todo += new
    return found


def unlimited(pipeline: Pipeline) -> Iterator[tuple[KeyPath, str]]:
    """Limits on rules that a dataset doesn't have, and on an overlap that isn't measured."""
    for name, config in pipeline.prepare.items():
        place: KeyPath = ("prepare", name, "limits")
        reasons = reasons_of(config)
        rules = [*reasons, *(f"{reason}.{part}" for reason, parts in reasons.items() for part in parts)]
        for rule in config.limits.max_dropped_by:
            if rule not in rules:
                meant = close_to(rule, rules)
                hint = f"Did you mean '{meant}'?" if meant else f"There: {', '.join(rules)}"
                yield (*place, "max_dropped_by", rule), f"no rule of '{name}' is called so. {hint}"
        if config.limits.max_overlap is not None and not config.split.validation + config.split.test:
            yield (*place, "max_overlap"), f"nothing is held out: set prepare.{name}.split, or leave this out"
