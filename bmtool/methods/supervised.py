"""Learn from the labelled rows alone, all weights that aren't frozen: what fine-tuning does by itself."""

from __future__ import annotations

from bmtool.contracts import Method


class Supervised(Method):
    """The task's own loss on the labelled rows, and nothing besides."""
