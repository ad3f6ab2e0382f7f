"""Scripts that put no spaces between words: there each character is a word, wherever words are counted."""

from __future__ import annotations

import re

#: A character of Thai, Lao, Myanmar, Khmer, kana, or Han (with extensions and the compatibility block).
WITHOUT_SPACES = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"
)
