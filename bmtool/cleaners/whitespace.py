"""One space between words, at most one empty line between paragraphs, none at the ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bmtool.contracts import Cleaner

if TYPE_CHECKING:
    import pyarrow as pa


#: Unicode's separators without the plain space.
SPACES = r"\t\v\f\x{a0}\x{1680}\x{2000}-\x{200a}\x{202f}\x{205f}\x{3000}"

#: What isn't one plain space already. Replacing every single space by itself would take nine times as long.
UNFOLDED = rf"[ {SPACES}]{{2,}}|[{SPACES}]"


class Whitespace(Cleaner):
    """Fold white space: any run of spaces (no-break and ideographic ones too) is one space, line breaks are `\\n`.

    Spaces around a line break go, three and more line breaks become two, and both ends are trimmed.
    """

    def clean(self, texts: pa.Array) -> pa.Array:
        """The texts with folded white space."""
        import pyarrow.compute as pc

        texts = pc.replace_substring_regex(texts, r"\r\n?|[\x{85}\x{2028}\x{2029}]", "\n")
        texts = pc.replace_substring_regex(texts, UNFOLDED, " ")
        texts = pc.replace_substring_regex(texts, r" ?\n ?", "\n")
        texts = pc.replace_substring_regex(texts, r"\n{3,}", "\n\n")
        return pc.utf8_trim(texts, characters=" \n")
