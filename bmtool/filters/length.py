"""Keep documents whose text is neither too short nor too long."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import PositiveInt, model_validator

from bmtool.config.model import explained
from bmtool.contracts import Filter

if TYPE_CHECKING:
    from bmtool.contracts import Verdict
    from bmtool.data.documents import Documents


class Length(Filter):
    """Keep documents of `min_chars` to `max_chars` characters (not bytes), both included."""

    min_chars: PositiveInt = 200
    max_chars: PositiveInt = 100_000

    @model_validator(mode="after")
    def _in_order(self) -> Length:
        if self.min_chars > self.max_chars:
            raise explained(f"min_chars ({self.min_chars}) is more than max_chars ({self.max_chars})")
        return self

    def rules(self) -> tuple[str, ...]:
        """Too short, too long."""
        return ("min_chars", "max_chars")

    def judge(self, documents: Documents) -> Verdict:
        """Count characters."""
        import pyarrow.compute as pc

        from bmtool.data.documents import verdict_of

        chars = pc.utf8_length(documents.texts).to_numpy(zero_copy_only=False)
        checks = [
            (chars < self.min_chars, chars, self.min_chars),
            (chars > self.max_chars, chars, self.max_chars),
        ]
        return verdict_of(checks, len(documents))
