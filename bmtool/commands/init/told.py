"""`init --column OURS=THEIRS`: the columns that the user names are taken, whatever they are called."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bmtool.commands.init.tasks import variants
from bmtool.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bmtool.commands.init.columns import Column

#: What a kind of column is called in an error.
_KINDS = {
    "text": "text",
    "target": "text",
    "label": "one of several labels",
    "labels": "a list of labels",
    "words": "a list of words",
    "tags": "a list of tags",
    "answers": "the answers of a question",
    "messages": "a list of messages",
    "number": "a number",
    "group": "a name",
}


def told(columns: Mapping[str, Column], pairs: Mapping[str, str], task: str | None) -> dict[str, Column]:
    """The named columns by our names.

    Raises:
        ConfigError: no task, or not this one, reads a column of that name, or there is none in the table, or it holds
            something else.
    """
    kinds = {"group": {"group"}}
    for _, one in variants(task):
        for ours, kind in one.columns.items():
            kinds.setdefault(ours, set()).add(kind)
    for ours, theirs in pairs.items():
        said = f"--column {ours}={theirs}"
        if ours not in kinds:
            raise ConfigError(f"{said}: {task or 'a task'} reads {', '.join(sorted(kinds))}, and no '{ours}'")
        if theirs not in columns:
            raise ConfigError(f"{said}: there is no column '{theirs}'. The columns are: {', '.join(columns)}")
        if not any(columns[theirs].may_be(kind) for kind in kinds[ours]):
            wanted = " or ".join(sorted(_KINDS[kind] for kind in kinds[ours]))
            raise ConfigError(f"{said}: '{ours}' is {wanted}, and '{theirs}' holds {columns[theirs].what}")
    return {ours: columns[theirs] for ours, theirs in pairs.items()}
