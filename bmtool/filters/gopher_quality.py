"""Gopher's quality rules: documents whose words and lines look like prose stay."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import NonNegativeFloat, NonNegativeInt, PositiveInt, model_validator

from bmtool.config.model import explained
from bmtool.config.units import Ratio
from bmtool.contracts import Filter

if TYPE_CHECKING:
    from bmtool.contracts import Verdict
    from bmtool.data.text.documents import Documents


class GopherQuality(Filter):
    """Keep documents that pass the quality rules of Gopher (Rae et al. 2021, arXiv:2112.11446, table A1 and A.1.1).

    Names, defaults and verdicts are those of datatrove's GopherQualityFilter (0.10), on words as spaCy cuts English. A
    limit of 0 (for a minimum) or 1 (for a share) switches a rule off.

    Documents whose words are mostly characters of scripts without spaces (Han, kana, Thai, ...) are not judged by
    `min_avg_word_length` and `max_avg_word_length`, since each character is a word there, nor by `min_stop_words`,
    whose words are English. In other languages stop words are asked for, as by datatrove: take `min_stop_words: 0`.
    """

    min_doc_words: NonNegativeInt = 50
    max_doc_words: PositiveInt = 100_000
    min_avg_word_length: NonNegativeFloat = 3
    max_avg_word_length: NonNegativeFloat = 10
    max_symbol_word_ratio: Ratio = 0.1
    max_bullet_lines_ratio: Ratio = 0.9
    max_ellipsis_lines_ratio: Ratio = 0.3
    max_non_alpha_words_ratio: Ratio = 0.8
    """The least share of words with a letter; the name is datatrove's."""
    min_stop_words: NonNegativeInt = 2

    @model_validator(mode="after")
    def _in_order(self) -> GopherQuality:
        if self.min_doc_words > self.max_doc_words:
            raise explained(f"min_doc_words ({self.min_doc_words}) is more than max_doc_words ({self.max_doc_words})")
        if self.min_avg_word_length > self.max_avg_word_length:
            raise explained(
                f"min_avg_word_length ({self.min_avg_word_length:g}) is more than max_avg_word_length "
                f"({self.max_avg_word_length:g})"
            )
        return self

    def rules(self) -> tuple[str, ...]:
        """Each rule is called as its setting; that on symbols is two."""
        return (
            "min_doc_words",
            "max_doc_words",
            "min_avg_word_length",
            "max_avg_word_length",
            "max_symbol_word_ratio_hashes",
            "max_symbol_word_ratio_ellipses",
            "max_bullet_lines_ratio",
            "max_ellipsis_lines_ratio",
            "max_non_alpha_words_ratio",
            "min_stop_words",
        )

    def judge(self, documents: Documents) -> Verdict:
        """Hold the shared measurements against the limits."""
        from bmtool.data.quality.measure import measure
        from bmtool.data.text.documents import verdict_of

        seen = documents.shared(measure)
        length, stop_words, spaced = seen.mean_word_chars, seen.stop_words, ~seen.is_unspaced
        symbols = self.max_symbol_word_ratio
        checks = [
            (seen.words < self.min_doc_words, seen.words, self.min_doc_words),
            (seen.words > self.max_doc_words, seen.words, self.max_doc_words),
            (spaced & (length < self.min_avg_word_length), length, self.min_avg_word_length),
            (spaced & (length > self.max_avg_word_length), length, self.max_avg_word_length),
            (seen.hash_ratio > symbols, seen.hash_ratio, symbols),
            (seen.ellipsis_ratio > symbols, seen.ellipsis_ratio, symbols),
            (seen.bullet_ratio > self.max_bullet_lines_ratio, seen.bullet_ratio, self.max_bullet_lines_ratio),
            (
                seen.ellipsis_line_ratio > self.max_ellipsis_lines_ratio,
                seen.ellipsis_line_ratio,
                self.max_ellipsis_lines_ratio,
            ),
            (seen.alpha_ratio < self.max_non_alpha_words_ratio, seen.alpha_ratio, self.max_non_alpha_words_ratio),
            (spaced & (stop_words < self.min_stop_words), stop_words, self.min_stop_words),
        ]
        return verdict_of(checks, len(documents))
