"""Unicode normal form C, without control and invisible characters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from bmtool.contracts import Cleaner

if TYPE_CHECKING:
    import pyarrow as pa


class Unicode(Cleaner):
    """Compose characters (`e` + accent to `é`); take out control characters, soft hyphens, zero width spaces and BOMs.

    `form: NFKC` also folds look-alikes such as full-width letters and ligatures. The zero width joiners U+200C and
    U+200D stay: Persian, Indic scripts and emoji need them.
    """

    form: Literal["NFC", "NFKC"] = "NFC"

    def clean(self, texts: pa.Array) -> pa.Array:
        """The texts in normal form."""
        from bmtool.data.text.cleaning import normalise

        return normalise(texts, self.form)
