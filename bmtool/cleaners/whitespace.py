"""One space between words, at most one empty line between paragraphs, none at the ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bmtool.contracts import Cleaner

if TYPE_CHECKING:
    import pyarrow as pa


class Whitespace(Cleaner):
    """Fold white space: any run of spaces (no-break and ideographic ones too) is one space, line breaks are `\\n`.

    Spaces around a line break go, three and more line breaks become two, and both ends are trimmed.
    """

    def clean(self, texts: pa.Array) -> pa.Array:
        """The texts with folded white space."""
        from bmtool.data.text.cleaning import fold_white_space

        return fold_white_space(texts)
