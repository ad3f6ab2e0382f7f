"""Drop documents in which a regular expression matches, or in which one doesn't."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import Field, model_validator

from bmtool.config.model import explained
from bmtool.contracts import Filter
from bmtool.data.text.patterns import fault_of

if TYPE_CHECKING:
    from bmtool.contracts import Verdict
    from bmtool.data.text.documents import Documents


class Regex(Filter):
    """Drop documents in which `drop` matches anywhere, and those in which `keep` matches nowhere.

    The syntax is RE2's (https://github.com/google/re2/wiki/Syntax): no look-around, no back-references. `(?i)` in front
    ignores case, `(?m)` makes `^` and `$` match at lines.
    """

    drop: str | None = Field(None, min_length=1, examples=["lorem ipsum"])
    keep: str | None = Field(None, min_length=1)

    @model_validator(mode="after")
    def _compiles(self) -> Regex:
        if self.drop is None and self.keep is None:
            raise explained("set 'drop', 'keep' or both: a document goes if 'drop' matches or 'keep' doesn't")
        for name in ("drop", "keep"):
            pattern = getattr(self, name)
            fault = fault_of(pattern) if pattern is not None else ""
            if fault:
                raise explained(f"the pattern {pattern!r} isn't valid RE2: {fault}", at=name)
        return self

    def rules(self) -> tuple[str, ...]:
        """Those that are set."""
        return tuple(name for name in ("drop", "keep") if getattr(self, name) is not None)

    def judge(self, documents: Documents) -> Verdict:
        """Search each document; nothing is measured."""
        import math

        import pyarrow.compute as pc

        from bmtool.data.text.documents import verdict_of

        checks = []
        for name in self.rules():
            found = pc.match_substring_regex(documents.texts, getattr(self, name)).to_numpy(zero_copy_only=False)
            checks.append((found if name == "drop" else ~found, math.nan, math.nan))
        return verdict_of(checks, len(documents))
