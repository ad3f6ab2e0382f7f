"""A dataset before it is written: its rows, what became of each, and the token ids of those that stay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tokenizers import Tokenizer

    from bmtool.contracts import Job
    from bmtool.data.passes.collected import Collected
    from bmtool.data.passes.decide import Decisions
    from bmtool.data.passes.encode_pass import UnitTokens
    from bmtool.data.passes.units import RowRules


@dataclass(frozen=True)
class Draft:
    """All that writing a dataset and reporting on it needs to know."""

    rules: RowRules
    collected: Collected
    decisions: Decisions
    job: Job
    tokenizer: Tokenizer | None = None
    """Of a corpus"""
    tokens: Sequence[UnitTokens] = ()
    """Of a corpus, by unit"""
