#!/usr/bin/env python3
"""Checks that the README's generated tables (components, commands) are up to date; --fix writes them."""

import re
import sys
from pathlib import Path

from bmtool.registry import KINDS

README = Path(__file__).parent.parent / "README.md"


def components() -> str:
    """A table row per kind: its components by name."""
    rows = ["| kind | components |", "|---|---|"]
    rows += [f"| {kind.plural} | {', '.join(f'`{name}`' for name in kind.names())} |" for kind in KINDS]
    return "\n".join(rows)


def main() -> int:
    text = README.read_text(encoding="utf-8")
    fresh = re.sub(
        r"(<!-- components -->\n).*?(<!-- end -->)",
        lambda match: f"{match[1]}{components()}\n{match[2]}",
        text,
        flags=re.DOTALL,
    )
    if "--fix" in sys.argv:
        README.write_text(fresh, encoding="utf-8")
    elif fresh != text:
        print("README.md: a generated table is out of date; run scripts/check --fix", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
