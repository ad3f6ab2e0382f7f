"""Replace what a regular expression matches."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from pydantic import Field, model_validator

from bmtool.config.model import explained
from bmtool.contracts import Cleaner
from bmtool.errors import ConfigError

if TYPE_CHECKING:
    import pyarrow as pa

#: What Python's `re` takes and RE2 doesn't: look-around, atomic and conditional groups, comments, back-references.
_NOT_RE2 = re.compile(r"\(\?(?:[=!>(#]|<[=!]|P=)|(?<!\\)(?:\\\\)*\\[1-9Z]|[*+?}]\+")


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
        try:
            re.compile(self.pattern)
        except re.error:
            pass  # RE2 knows more, such as \p{Han}: ask it
        else:
            if not _NOT_RE2.search(self.pattern):
                return self
        try:
            self._apply(None)
        except ConfigError as error:
            raise explained(str(error)) from None
        return self

    def clean(self, texts: pa.Array) -> pa.Array:
        """The texts with every match replaced."""
        return self._apply(texts)

    def _apply(self, texts: pa.Array | None) -> pa.Array:
        import pyarrow as pa
        import pyarrow.compute as pc

        texts = pa.array([""]) if texts is None else texts
        try:
            return pc.replace_substring_regex(texts, self.pattern, self.replacement)
        except pa.ArrowInvalid as error:
            text = str(error).partition(": ")[2] or str(error)
            raise ConfigError(f"replace: the pattern {self.pattern!r} isn't valid RE2: {text}") from None
