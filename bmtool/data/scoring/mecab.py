"""Whether Japanese can be cut into words here; kept apart since a configuration asks it, which loads nothing heavy."""

from __future__ import annotations

import importlib.util


def has_mecab() -> bool:
    """Whether the packages of the extra `japanese` are installed."""
    return all(importlib.util.find_spec(name) is not None for name in ("MeCab", "ipadic"))
