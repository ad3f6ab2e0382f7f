"""Keep documents whose text is neither too short nor too long."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import PositiveInt, model_validator

from bmtool.config.model import explained
from bmtool.contracts import Filter

if TYPE_CHECKING:
    from bmtool.contracts import Verdict
    from bmtool.data.text.documents import Documents


class Length(Filter):
    """Keep documents of `min_chars` to `max_chars` characters (not bytes), both included.

    Lines can be limited too: long ones are data or minified programs (StarCoder drops files with a line of more than
    1,000 characters, or 100 in the mean: Li et al. 2023, https://arxiv.org/abs/2305.06161).
    """

    min_chars: PositiveInt = 200
    max_chars: PositiveInt = 100_000
    max_line_chars: PositiveInt | None = None
    """Of the longest line."""
    max_mean_line_chars: PositiveInt | None = None
    """Characters by lines, line breaks included."""

    @model_validator(mode="after")
    def _in_order(self) -> Length:
        if self.min_chars > self.max_chars:
            raise explained(f"min_chars ({self.min_chars}) is more than max_chars ({self.max_chars})")
        return self

    def rules(self) -> tuple[str, ...]:
        """Too short, too long; then the lines, if they are limited."""
        lines = [name for name in ("max_line_chars", "max_mean_line_chars") if getattr(self, name) is not None]
        return ("min_chars", "max_chars", *lines)

    def judge(self, documents: Documents) -> Verdict:
        """Count characters and lines."""
        import pyarrow.compute as pc

        from bmtool.data.text.characters import count_lines
        from bmtool.data.text.documents import verdict_of

        chars = pc.utf8_length(documents.texts).to_numpy(zero_copy_only=False)
        checks = [
            (chars < self.min_chars, chars, self.min_chars),
            (chars > self.max_chars, chars, self.max_chars),
        ]
        if self.max_line_chars or self.max_mean_line_chars:
            longest, lines = documents.shared(count_lines)
            if self.max_line_chars:
                checks.append((longest > self.max_line_chars, longest, self.max_line_chars))
            if self.max_mean_line_chars:
                checks.append((chars / lines > self.max_mean_line_chars, chars / lines, self.max_mean_line_chars))
        return verdict_of(checks, len(documents))
