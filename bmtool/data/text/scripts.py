"""Scripts that put no spaces between words: there each character is a word, wherever words are counted."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Blocks of scripts without spaces between words (Unicode 16, Blocks.txt); unassigned places in them do no harm.
#: Hangul isn't here: Korean has spaces.
UNSPACED = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x1950, 0x19DF),  # Tai Le, New Tai Lue
    (0x1A20, 0x1AAF),  # Tai Tham
    (0x2E80, 0x2FDF),  # CJK and Kangxi radicals
    (0x3005, 0x3007),  # iteration mark, closing mark, zero
    (0x3021, 0x3029),  # Hangzhou numerals
    (0x3031, 0x3035),  # kana repeat marks
    (0x3038, 0x303C),
    (0x3041, 0x30FF),  # Hiragana, Katakana
    (0x3100, 0x312F),  # Bopomofo
    (0x31A0, 0x31BF),
    (0x31F0, 0x31FF),  # Katakana extensions
    (0x3400, 0x4DBF),  # Han
    (0x4E00, 0x9FFF),
    (0xA9E0, 0xA9FF),  # Myanmar extended
    (0xAA60, 0xAADF),  # Myanmar extended, Tai Viet
    (0xF900, 0xFAFF),  # Han, compatibility
    (0xFF66, 0xFF9F),  # half-width Katakana
    (0x1AFF0, 0x1B16F),  # kana extensions
    (0x20000, 0x3FFFF),  # Han, planes 2 and 3
)

#: A character of such a script, letter or not.
WITHOUT_SPACES = re.compile("[" + "".join(f"{chr(first)}-{chr(last)}" for first, last in UNSPACED) + "]")

_LETTER = re.compile(r"[^\W\d_]")

#: Texts looked at to say what most letters are.
_SAMPLE = 1000


def is_without_spaces(texts: Sequence[str]) -> bool:
    """Whether most letters of the first thousand texts are of scripts that put no spaces between words."""
    sample = texts[:_SAMPLE]
    letters = sum(len(_LETTER.findall(text)) for text in sample)
    return 2 * sum(len(WITHOUT_SPACES.findall(text)) for text in sample) > letters
