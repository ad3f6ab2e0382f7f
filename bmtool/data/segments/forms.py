"""What each code point becomes when a tokenizer normalises text, where that doesn't depend on its neighbours."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Parts of Hangul syllables (Unicode 16, Blocks.txt), which normal forms put together.
JAMO = ((0x1100, 0x11FF), (0xA960, 0xA97F), (0xD7B0, 0xD7FF))


class Forms:
    """UTF-8 by code point, as arrays for kernels."""

    def __init__(self) -> None:
        self.places = np.zeros(0x110000, np.int32)
        """(0x110000,) place in `text` * 256 + bytes + 1; 0: not known for certain"""
        self.text = np.zeros(1 << 14, np.uint8)
        self._used = 0

    def set(self, forms: Mapping[int, str]) -> None:
        """What code points become; each may be empty."""
        if not forms:
            return
        data = [form.encode() for form in forms.values()]
        ends = self._used + np.cumsum([len(one) for one in data], dtype=np.int64)
        starts = np.concatenate([[self._used], ends[:-1]])
        used = int(ends[-1])
        while used > len(self.text):
            self.text = np.concatenate([self.text, np.zeros_like(self.text)])
        self.text[self._used : used] = np.frombuffer(b"".join(data), np.uint8)
        self.places[list(forms)] = (starts << 8 | (ends - starts)) + 1
        self._used = used


def joins(character: str) -> bool:
    """Whether a Unicode normal form may join it with what is beside it, or sort it; also if it isn't known here."""
    category = unicodedata.category(character)
    return category.startswith("M") or category == "Cn" or any(one <= ord(character) <= last for one, last in JAMO)
