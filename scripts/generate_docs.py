#!/usr/bin/env python3
"""Checks that generated tables (components in the README, presets in docs/) are up to date; --fix writes them."""

import sys
from pathlib import Path

from bmtool.data.passes.presets import PRESETS, SUMMARIES
from bmtool.registry import KINDS

ROOT = Path(__file__).parent.parent


def components() -> str:
    """A table row per kind: its components by name."""
    rows = ["| kind | components |", "|---|---|"]
    rows += [f"| {kind.plural} | {', '.join(f'`{name}`' for name in kind.names())} |" for kind in KINDS]
    return "\n".join(rows)


def presets() -> str:
    """A table row per preset: its steps by name, in their order."""
    rows = ["| preset | for | `clean` | `filters` | `scrub` |", "|---|---|---|---|---|"]
    for name, lists in PRESETS.items():
        steps = [
            ", ".join(f"`{one.setting if isinstance(one.setting, str) else one.setting['type']}`" for one in choices)
            for choices in lists.values()
        ]
        rows.append(f"| `{name}` | {SUMMARIES[name].rstrip('.')} | {' | '.join(steps)} |")
    return "\n".join(rows)


TABLES = {"README.md": ("components", components), "docs/prepare.md": ("presets", presets)}


def main() -> int:
    stale = []
    for name, (marker, table) in TABLES.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        before, opening, rest = text.partition(f"<!-- {marker} -->\n")
        _, closing, after = rest.partition("<!-- end -->")
        if not closing:
            raise SystemExit(f"{name}: the place for a table is missing: <!-- {marker} --> ... <!-- end -->")
        fresh = f"{before}{opening}{table()}\n{closing}{after}"
        if fresh != text:
            stale.append(name)
        if "--fix" in sys.argv:
            (ROOT / name).write_text(fresh, encoding="utf-8")
    if stale and "--fix" not in sys.argv:
        print(f"{', '.join(stale)}: a generated table is out of date; run scripts/check --fix", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
