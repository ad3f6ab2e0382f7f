"""Short answers compared as in the SQuAD benchmarks: without case, punctuation and English articles.

Rajpurkar et al. 2016 (section 6.1) and 2018, as their evaluate-v2.0.py does. For Chinese and Japanese, punctuation
marks of these scripts go, too, and each character is a token, as in CMRC 2018 (Cui et al. 2019).
"""

from __future__ import annotations

import re
import string
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from bmtool.data.scoring.scores import counted
from bmtool.data.text.scripts import UNSPACED

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from bmtool.contracts import Columns

_ARTICLES = re.compile(r"\b(a|an|the)\b")
#: ASCII, as in SQuAD; CJK symbols, and full-width forms of ASCII marks.
_PUNCTUATION = re.compile(
    f"[{re.escape(string.punctuation)}\u3001-\u3003\u3008-\u3011\u3014-\u301f\u3030"
    "\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65]"
)
_UNSPACED = "".join(f"{chr(first)}-{chr(last)}" for first, last in UNSPACED)
_TOKEN = re.compile(f"[{_UNSPACED}]|[^\\s{_UNSPACED}]+")


def normalised(answer: str) -> str:
    """Lower case, no punctuation, no articles, single spaces."""
    return " ".join(_ARTICLES.sub(" ", _PUNCTUATION.sub("", answer.lower())).split())


def tokens(answer: str) -> list[str]:
    """Words of a normalised answer; characters in scripts without spaces."""
    return _TOKEN.findall(normalised(answer))


def best_match(outputs: Columns, match: Callable[[str, str], float]) -> NDArray[np.float64]:
    """(N, 2): `match` of each normalised prediction with the right answer that it fits best, and 1.

    A row without a right answer wants the empty one; right answers of nothing but punctuation or articles don't count.
    """
    best = np.zeros(len(outputs["predictions"]))
    for row, (answer, right) in enumerate(zip(outputs["predictions"], outputs["references"], strict=True)):
        wanted = [text for text in map(normalised, right) if text] or [""]
        best[row] = max(match(normalised(answer), text) for text in wanted)
    return counted(best)


def is_same(answer: str, right: str) -> float:
    """1 for the same normalised text, else 0."""
    return float(answer == right)


def shared_tokens(answer: str, right: str) -> float:
    """F1 of tokens, each as often as both have it; where one has none, whether the other has none either."""
    ours, theirs = (Counter(_TOKEN.findall(text)) for text in (answer, right))
    if not ours or not theirs:
        return float(ours == theirs)
    return 2 * (ours & theirs).total() / (ours.total() + theirs.total())
