"""Whether the splits that stages read are there and hold rows: asked before anything is trained, not behind it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bmtool.artifacts.manifest import Artifact
from bmtool.data.passes.described import split_counts
from bmtool.errors import ConfigError, DataError
from bmtool.runner.plan import Node, upstream
from bmtool.runner.unmade_splits import without

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bmtool.artifacts.store import Store


def check_splits(nodes: Iterable[Node], store: Store) -> None:
    """Refuse the first node that reads a split which a dataset that is there doesn't have, or in which it has no row.

    What a section of the same file won't make is refused with the file (`bmtool.runner.unmade_splits`).

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
    name, key = str(source.folder) if isinstance(source, Artifact) else str(source.dataset), "its split"
    if isinstance(source, Node):
        key = f"{source.section}.split"
    reads = f"{node.label} reads the {split} split of '{name}'"
    if counts and split not in counts:
        text = f"which has only {' and '.join(counts)}. Make it again with one"
        raise ConfigError(f"{reads}, {text}{without(node.stage)}")
    if counts and not counts[split]:
        shared = f"the rows are {split_counts(counts)}"
        raise DataError(f"{reads}, which is empty: {shared}. Add rows, or change {key}{without(node.stage)}")
