"""Whether the splits that stages read are there and hold rows: asked before anything is trained, not behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from bmtool.artifacts.manifest import Artifact
from bmtool.data.passes.described import split_counts
from bmtool.errors import ConfigError, DataError
from bmtool.runner.plan import Node, upstream

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bmtool.artifacts.store import Store


def check_splits(nodes: Iterable[Node], store: Store) -> None:
    """Refuse the first node that reads a split which no section makes, or in which a dataset that is there has no row.

    Raises:
        ConfigError: there is no such split.
        DataError: it holds no row.
    """
    for node in nodes:
        for one in [node, *(source for source in upstream(node) if not source.is_named)]:
            for role, splits in one.splits.items():
                for split in splits:
                    _check(node, one.inputs[role], split, store)


def _check(node: Node, source: Node | Artifact, split: str, store: Store) -> None:
    made = source if isinstance(source, Artifact) else store.find(source.place)
    counts: Mapping[str, int] = {} if made is None else made.summary.get("splits", {})
    if isinstance(source, Artifact):
        name, key, names = str(source.folder), "the shares of its split", list(counts)
    else:
        name, key, names = str(source.dataset), f"{source.section}.split", cast("Any", source.config).split.names()
    reads = f"{node.label} reads the {split} split of '{name}'"
    if names and split not in names:
        mend = f"Set {key}.{split}, such as 0.1" if split != "train" and "." in key else f"Change {key}"
        raise ConfigError(f"{reads}, which has only {' and '.join(names)}. {mend}{_without(node)}")
    if counts and not counts[split]:
        shared = f"the rows are {split_counts(counts)}"
        raise DataError(f"{reads}, which is empty: {shared}. Add rows, or change {key}{_without(node)}")


def _without(node: Node) -> str:
    """How to make the rest all the same."""
    return "; `bmtool run --until finetune` does without" if node.stage in ("evaluate", "export") else ""
