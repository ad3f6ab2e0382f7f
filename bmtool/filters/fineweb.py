"""FineWeb's rules: documents whose lines end like sentences, are long enough and don't repeat stay."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import NonNegativeFloat

from bmtool.config.units import Ratio
from bmtool.contracts import Filter

if TYPE_CHECKING:
    from bmtool.contracts import Verdict
    from bmtool.data.text.documents import Documents


class FineWeb(Filter):
    """Keep documents that pass the quality rules of FineWeb (Penedo et al. 2024, arXiv:2406.17557, section 3.6).

    Names, defaults and verdicts are those of datatrove's FineWebQualityFilter (0.10). A short line has at most 30
    characters. The marks that may end a line are those of every script.

    In documents of scripts without spaces a character of Han or kana counts twice in the length of a line, since it
    says about as much as two letters. Documents that are mostly Thai or Lao are not judged by `line_punct_thr`: these
    scripts have no full stop.
    """

    line_punct_thr: Ratio = 0.12
    """The least share of lines that end in terminal punctuation."""
    line_punct_exclude_zero: bool = False
    """Whether documents without any such line stay."""
    short_line_thr: Ratio = 0.67
    char_duplicates_ratio: Ratio = 0.01
    """The largest share of characters in repeated lines."""
    new_line_ratio: NonNegativeFloat = 0.3
    """The most line feeds a word."""

    def rules(self) -> tuple[str, ...]:
        """A blank text goes; then each rule is called as its setting."""
        return ("empty", "line_punct_thr", "short_line_thr", "char_duplicates_ratio", "new_line_ratio")

    def judge(self, documents: Documents) -> Verdict:
        """Hold the shared measurements against the limits."""
        from bmtool.data.quality.measure import measure
        from bmtool.data.text.documents import verdict_of

        seen = documents.shared(measure)
        punctuated, repeated = seen.terminal_line_ratio, seen.duplicate_full_line_char_ratio
        unpunctuated = (punctuated < self.line_punct_thr) & ~seen.has_no_full_stop
        if self.line_punct_exclude_zero:
            unpunctuated &= punctuated > 0
        checks = [
            (seen.lines == 0, seen.lines, 1),
            (unpunctuated, punctuated, self.line_punct_thr),
            (seen.short_line_ratio > self.short_line_thr, seen.short_line_ratio, self.short_line_thr),
            (repeated > self.char_duplicates_ratio, repeated, self.char_duplicates_ratio),
            (seen.newline_ratio > self.new_line_ratio, seen.newline_ratio, self.new_line_ratio),
        ]
        return verdict_of(checks, len(documents))
