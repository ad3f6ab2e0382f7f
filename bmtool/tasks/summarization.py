"""Write a short text that says what a long one does."""

from __future__ import annotations

from typing import ClassVar

from bmtool.models.decoding.writing import Writing


class Summarization(Writing):
    """A summary of each source, compared with the target by the words that they share (ROUGE)."""

    written: ClassVar = ("rouge_l", "rouge1", "rouge2")
