"""Texts that are equal but for case and white space: the first one stays."""

from __future__ import annotations

from bmtool.contracts import Deduplicator


class Exact(Deduplicator):
    """Drop each row whose text was seen before, equal but for case and white space."""
