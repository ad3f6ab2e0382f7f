"""Texts that share most of their five-word runs: the first one stays."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from bmtool.config.model import HOW, LISTED
from bmtool.config.references import Ref
from bmtool.contracts import Deduplicator


class Near(Deduplicator):
    """Drop each row that is similar to one that stays: the Jaccard similarity of their sets of word 5-grams.

    Candidates come from MinHash (14 bands of 8 rows) and are verified; a row goes only if a *kept* one is similar.
    """

    threshold: Annotated[float, Field(ge=0.5, le=1.0)] = 0.7
    """The Jaccard similarity from which a row counts as a copy."""
    against: Annotated[tuple[Ref, ...], LISTED, HOW] = ()
    """Earlier datasets, deduplicated in the same way, whose rows must not come again."""
