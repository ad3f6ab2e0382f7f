"""Replace what a regular expression matches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field, model_validator

from bmtool.config.model import explained
from bmtool.contracts import Cleaner
from bmtool.data.text.patterns import fault_of

if TYPE_CHECKING:
    import pyarrow as pa


class Replace(Cleaner):
    """Replace each match of `pattern` by `with` (nothing by default).

    The syntax is RE2's (https://github.com/google/re2/wiki/Syntax): no look-around, no back-references in the pattern;
    in `with`, `\\1` is the first group. `(?i)` in front ignores case.
    """

    pattern: str = Field(min_length=1)
    """A regular expression."""
    replacement: str = Field("", alias="with")

    @model_validator(mode="after")
    def _compiles(self) -> Replace:
        fault = fault_of(self.pattern, self.replacement)
        if fault:
            raise explained(f"the pattern {self.pattern!r} isn't valid RE2: {fault}")
        return self

    def clean(self, texts: pa.Array) -> pa.Array:
        """The texts with every match replaced."""
        import pyarrow.compute as pc

        return pc.replace_substring_regex(texts, self.pattern, self.replacement)
