"""Why an artifact has to be made: compared with the one that its name points at now."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bmtool.config.changes import what_changed
from bmtool.config.model import without_how
from bmtool.errors import DataError
from bmtool.runner.plan import Node, fingerprint_of, resolved

if TYPE_CHECKING:
    from bmtool.artifacts.manifest import Manifest
    from bmtool.artifacts.store import Store


def why(node: Node, store: Store, name: str) -> str:
    """`for the first time`, or `again, because prepare.corpus.filters[0].min_chars 100 -> 200`."""
    try:
        before = store.named(f"{name}/{node.link}")
    except DataError:  # it is no reason to make nothing
        return "again, and what is there now can't be read"
    if not node.is_named or before is None or before.manifest is None:
        return "for the first time"
    return f"again, because {_difference(node, before.manifest)}"


def _difference(node: Node, before: Manifest) -> str:
    if before.fingerprint == node.place.fingerprint:
        return "its folder in the store is gone"
    if node.module.VERSION_COUNTS and before.stage_version != node.module.VERSION:
        return f"bmtool's {node.stage} changed (version {before.stage_version} -> {node.module.VERSION})"
    now = resolved(node.config) | {"seed": node.identity.seed}
    changed = what_changed(
        {node.section: without_how(node.config, before.config)}, {node.section: without_how(node.config, now)}
    )
    if changed:
        return changed
    for role, source in node.inputs.items():
        old = before.inputs.get(role, {}).get("fingerprint")
        if old != fingerprint_of(source):
            label = source.label if isinstance(source, Node) else str(source.folder)
            return f"its input {label} changed"
    return _raw_difference(node.identity.raw, before)


def _raw_difference(raw: dict[str, str], before: Manifest) -> str:
    old = {key.removeprefix("source:"): v["sha256"] for key, v in before.inputs.items() if key.startswith("source:")}
    added, removed = sorted(raw.keys() - old.keys()), sorted(old.keys() - raw.keys())
    changed = sorted(name for name in raw.keys() & old.keys() if raw[name] != old[name])
    parts = [
        f"{names[0]}{f' and {len(names) - 1} more' if len(names) > 1 else ''} {verb}"
        for names, verb in ((changed, "changed"), (added, "came"), (removed, "went"))
        if names
    ]
    return "; ".join(parts) or "what identifies it changed"
