"""Keep documents whose text is neither too short nor too long."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import PositiveInt, model_validator

from bmtool.config.model import explained
from bmtool.contracts import Filter

if TYPE_CHECKING:
    import pyarrow as pa


class Length(Filter):
    """Keep documents of `min_chars` to `max_chars` characters (not bytes), both included."""

    min_chars: PositiveInt = 200
    max_chars: PositiveInt = 100_000

    @model_validator(mode="after")
    def _in_order(self) -> Length:
        if self.min_chars > self.max_chars:
            raise explained(f"min_chars ({self.min_chars}) is more than max_chars ({self.max_chars})")
        return self

    def keep(self, texts: pa.Array) -> pa.Array:
        """True for each text of a fitting length."""
        import pyarrow.compute as pc

        chars = pc.utf8_length(texts)
        return pc.and_(pc.greater_equal(chars, self.min_chars), pc.less_equal(chars, self.max_chars))
