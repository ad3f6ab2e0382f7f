"""Gopher's repetition rules: documents that say the same thing over and over go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bmtool.config.units import Ratio
from bmtool.contracts import Filter

if TYPE_CHECKING:
    from bmtool.contracts import Verdict
    from bmtool.data.text.documents import Documents


class GopherRepetition(Filter):
    """Keep documents that pass the repetition rules of Gopher (Rae et al. 2021, arXiv:2112.11446, table A1).

    Names, defaults and verdicts are those of datatrove's GopherRepetitionFilter (0.10), on words as spaCy cuts English.
    A limit of 1 switches a rule off.

    In documents of scripts without spaces each character is a word, and an n-gram of n characters would say much
    less: there 2n characters are an n-gram of Han or kana, 4n of Thai, Lao, Khmer or Myanmar (about the length of n
    words), and no blanks are counted between them.
    """

    dup_para_frac: Ratio = 0.3
    dup_para_char_frac: Ratio = 0.2
    dup_line_frac: Ratio = 0.3
    dup_line_char_frac: Ratio = 0.2
    top_2_gram: Ratio = 0.2
    top_3_gram: Ratio = 0.18
    top_4_gram: Ratio = 0.16
    duplicated_5_n_grams: Ratio = 0.15
    duplicated_6_n_grams: Ratio = 0.14
    duplicated_7_n_grams: Ratio = 0.13
    duplicated_8_n_grams: Ratio = 0.12
    duplicated_9_n_grams: Ratio = 0.11
    duplicated_10_n_grams: Ratio = 0.10

    def rules(self) -> tuple[str, ...]:
        """An empty text goes; then each rule is called as its setting."""
        paragraphs_and_lines = ("dup_para_frac", "dup_para_char_frac", "dup_line_frac", "dup_line_char_frac")
        top = tuple(f"top_{n}_gram" for n in (2, 3, 4))
        return ("empty", *paragraphs_and_lines, *top, *(f"duplicated_{n}_n_grams" for n in range(5, 11)))

    def judge(self, documents: Documents) -> Verdict:
        """Hold the shared measurements against the limits."""
        from bmtool.data.quality.measure import measure
        from bmtool.data.text.documents import verdict_of

        seen = documents.shared(measure)
        measured = (
            seen.duplicate_paragraph_ratio,
            seen.duplicate_paragraph_char_ratio,
            seen.duplicate_line_ratio,
            seen.duplicate_line_char_ratio,
            *seen.top_gram_char_ratio.T,
            *seen.duplicate_gram_char_ratio.T,
        )
        checks = [(seen.chars == 0, seen.chars, 1)]
        for rule, values in zip(self.rules()[1:], measured, strict=True):
            limit = getattr(self, rule)
            checks.append((values > limit, values, limit))
        return verdict_of(checks, len(documents))
