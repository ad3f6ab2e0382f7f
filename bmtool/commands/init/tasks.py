"""Which task a table's columns are for: each task says itself which columns it reads, by name and kind."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import product
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from bmtool.config.model import validate
from bmtool.contracts.kinds import TEXTS
from bmtool.errors import ConfigError
from bmtool.registry import TASKS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from bmtool.commands.init.columns import Column
    from bmtool.contracts import Task

#: What others call the tasks' columns; small letters, of `translation.en` the last part. Our own names are right, too.
OTHER_NAMES = {
    "text": "anchor sentence sentence1 text1 question1 word1 query premise",
    "text_pair": "positive sentence2 text2 question2 word2 hypothesis",
    "source": "document article dialogue text content body input en",
    "target": "summary headline highlights translation response completion output answer de fr es it pt ru ja zh ko ar",
    "prompt": "instruction question",
    "messages": "conversations conversation",
    "words": "tokens",
    "tags": "ner_tags pos_tags labels",
    "answers": "answer",
    "labels": "topics categories label",
    "label": "class category is_duplicate",
    "score": "grade similarity",
}

#: A summary is shorter than that share of its source; a translation isn't.
SUMMARY_RATIO = 0.5

#: The task that init finds by its own rules, from columns of any name.
CLASSIFICATION = {"type": "text_classification"}


@dataclass(frozen=True)
class Match:
    """A task for which the table has all columns."""

    settings: Mapping[str, Any]
    task: Task
    columns: Mapping[str, Column]
    """Ours to theirs"""
    reasons: list[str] = field(default_factory=list)

    @property
    def texts(self) -> list[Column]:
        """What is read and written as text."""
        return [self.columns[name] for name in self.task.of_kind(*TEXTS, "messages")]


def match(columns: Mapping[str, Column], wanted: str | None, given: Mapping[str, Column]) -> Match | None:
    """The task that reads most of the table's columns, by their names and those that are given by ours; None: none
    does, or one label of a text.

    Raises:
        ConfigError: the table isn't one for the task that is `wanted`, or several tasks fit it alike.
    """
    if wanted is not None and wanted not in TASKS.names():
        TASKS.load(wanted)
    found = [one for one in (_matched(*variant, columns, given) for variant in variants(wanted)) if one is not None]
    most = max((len(one.columns) for one in found), default=0)
    best = [one for one in found if len(one.columns) == most]
    names = sorted({one.task.name() for one in best})
    if names == ["summarization", "translation"]:
        best = [_by_length(best)]
    if len(best) > 1:
        raise ConfigError(
            f"the columns {', '.join(columns)} fit {' and '.join(names)}. Say which one: --task {names[0]}"
        )
    if best:
        return None if best[0].settings == CLASSIFICATION else best[0]
    if wanted not in {None, CLASSIFICATION["type"]}:
        reads = " or ".join(dict.fromkeys(", ".join(task.columns) for _, task in variants(wanted)))
        raise ConfigError(
            f"--task {wanted}: it reads {reads}, and the columns are {', '.join(columns)}. Say which is which: "
            f"--column OURS=THEIRS, once for each"
        )
    return None


def match_for(settings: Mapping[str, Any], columns: Mapping[str, Column], reasons: Iterable[str]) -> Match:
    """The task with these settings, and columns that were found by other means than their names."""
    own = {key: value for key, value in settings.items() if key != "type"}
    return Match(settings, validate(TASKS.load(settings["type"]), own), columns, list(reasons))


def variants(wanted: str | None) -> Iterator[tuple[dict[str, Any], Task]]:
    """Each task with each set of its own switches that says which columns it reads."""
    for name in [wanted] if wanted else TASKS.names():
        kind = TASKS.load(name)
        switches = [key for key, info in kind.model_fields.items() if info.annotation is bool]
        seen = []
        for values in product([False, True], repeat=len(switches)):
            on = {key: True for key, value in zip(switches, values, strict=True) if value}
            try:
                task = validate(kind, on)
            except ValidationError:  # switches that exclude each other
                continue
            if dict(task.columns) not in seen:
                seen.append(dict(task.columns))
                yield {"type": name, **on}, task


def _matched(
    settings: dict[str, Any], task: Task, columns: Mapping[str, Column], given: Mapping[str, Column]
) -> Match | None:
    if not given.keys() - {"group"} <= task.columns.keys():
        return None
    found: dict[str, Column] = {}
    for ours, kind in task.columns.items():
        names = [ours, *OTHER_NAMES.get(ours, "").split()]
        taken = [one.name for one in (*found.values(), *given.values())]
        free = [column for column in columns.values() if column.name not in taken and column.holds(kind)]
        fits = [column for name in names for column in free if _own_name(column) == name]
        if ours in given:
            fits = [given[ours]] if given[ours].may_be(kind) else []
        if not fits:
            return None
        found[ours] = fits[0]
    reads = ", ".join(f"{ours} from '{theirs.name}'" for ours, theirs in found.items())
    switches = "".join(f", {key}" for key in settings if key != "type")
    how = "as --column says" if found.keys() <= given.keys() else "by the columns' names"
    return Match(settings, task, found, [f"{task.name()}{switches}: {how} it reads {reads}"])


def _own_name(column: Column) -> str:
    """In small letters; of `translation.en` the second part."""
    return column.name.lower().rpartition(".")[2]


def _by_length(both: list[Match]) -> Match:
    """A summary or a translation, by how long the second text is."""
    source, target = both[0].columns["source"], both[0].columns["target"]
    ratio = (target.tokens / max(target.texts, 1)) / max(source.tokens / max(source.texts, 1), 1)
    name = "summarization" if ratio < SUMMARY_RATIO else "translation"
    one = next(one for one in both if one.task.name() == name)
    other = "translation" if name == "summarization" else "summarization"
    one.reasons.append(
        f"'{target.name}' has about {ratio:.0%} as many words as '{source.name}'; if not: --task {other}"
    )
    return one
