"""Drop documents with too many symbols, digits or capitals, or too few letters, in every script."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from bmtool.contracts import Filter

if TYPE_CHECKING:
    from bmtool.contracts import Verdict
    from bmtool.data.text.documents import Documents

Ratio = Annotated[float, Field(ge=0, le=1)]


class Symbols(Filter):
    """Drop documents by the shares of kinds of characters; white space doesn't count.

    A symbol is what is neither letter, digit nor punctuation that is common in prose: `#`, `*`, `{`, `|`, `=`, emoji,
    box drawings. Capitals are counted among the letters of scripts that have them; a text in Chinese has none.
    """

    max_symbol_ratio: Ratio = 0.2
    max_digit_ratio: Ratio = 0.3
    max_upper_ratio: Ratio = 0.5
    """Of the letters that are either upper or lower case."""
    min_letter_ratio: Ratio = 0.25
    """StarCoder asks for as many letters and digits of code (Li et al. 2023, https://arxiv.org/abs/2305.06161)."""

    def rules(self) -> tuple[str, ...]:
        """Symbols, digits, capitals, letters."""
        return ("max_symbol_ratio", "max_digit_ratio", "max_upper_ratio", "min_letter_ratio")

    def judge(self, documents: Documents) -> Verdict:
        """Count characters; a document without any has all shares 0, letters included."""
        import numpy as np

        from bmtool.data.text.characters import count_characters
        from bmtool.data.text.documents import verdict_of

        counts = documents.shared(count_characters)
        visible = np.maximum(counts.visible, 1)
        symbols, digits = counts.symbols / visible, counts.digits / visible
        upper, letters = counts.upper / np.maximum(counts.upper + counts.lower, 1), counts.letters / visible
        checks = [
            (symbols > self.max_symbol_ratio, symbols, self.max_symbol_ratio),
            (digits > self.max_digit_ratio, digits, self.max_digit_ratio),
            (upper > self.max_upper_ratio, upper, self.max_upper_ratio),
            (letters < self.min_letter_ratio, letters, self.min_letter_ratio),
        ]
        return verdict_of(checks, len(documents))
