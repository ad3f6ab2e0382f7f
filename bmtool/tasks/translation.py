"""Write a text in another language."""

from __future__ import annotations

from typing import ClassVar

from bmtool.models.decoding.writing import Writing


class Translation(Writing):
    """A translation of each source, compared with the target by characters (chrF) and words (BLEU)."""

    written: ClassVar = ("chrf", "bleu")
