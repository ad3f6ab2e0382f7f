"""Unicode normal form C, without control and invisible characters."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from bmtool.contracts import Cleaner

if TYPE_CHECKING:
    import pyarrow as pa

#: Control characters but tab and line ends; soft hyphen, zero width space, word joiner, byte order mark. The zero width
#: joiners U+200C and U+200D stay: Persian, Indic scripts and emoji need them.
INVISIBLE = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x{84}\x{86}-\x{9f}\x{ad}\x{200b}\x{2060}\x{feff}]"


class Unicode(Cleaner):
    """Compose characters (`e` + accent to `é`); take out control characters, soft hyphens, zero width spaces and BOMs.

    `form: NFKC` also folds look-alikes such as full-width letters and ligatures.
    """

    form: Literal["NFC", "NFKC"] = "NFC"

    def clean(self, texts: pa.Array) -> pa.Array:
        """The texts in normal form."""
        import pyarrow.compute as pc

        visible = pc.replace_substring_regex(texts, INVISIBLE, "")
        return pc.utf8_normalize(visible, form=self.form)
