"""ROUGE: which words, pairs of words, or words in order a summary shares with the right one (Lin 2004).

Words are those of `bmtool.data.text.words` in lower case: for ASCII text the same as in Google's rouge-score without
stemming, which drops all other letters. A character of a script without spaces is a word.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from bmtool.data.scoring.scores import counted
from bmtool.data.scoring.text_scores import right_texts
from bmtool.data.text.words import words_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from bmtool.contracts import Columns

    Overlap = Callable[[Sequence[str], Sequence[str]], float]


def best_overlap(outputs: Columns, overlap: Overlap) -> NDArray[np.float64]:
    """(N, 2): `overlap` of the words of each prediction with those of the right text that it fits best, and 1."""
    best = np.zeros(len(outputs["predictions"]))
    for row, (text, right) in enumerate(zip(outputs["predictions"], right_texts(outputs), strict=True)):
        words = words_of(text.lower())
        best[row] = max(overlap(words, words_of(reference.lower())) for reference in right)
    return counted(best)


def shared_runs(size: int, words: Sequence[str], right: Sequence[str]) -> float:
    """F1 of runs of `size` words, each as often as both texts have it; 0 without any (Lin 2004, section 2)."""
    ours, theirs = (Counter(zip(*(text[start:] for start in range(size)), strict=False)) for text in (words, right))
    return _f1((ours & theirs).total(), ours.total(), theirs.total())


def shared_order(words: Sequence[str], right: Sequence[str]) -> float:
    """F1 of the longest sequence of words that both texts have in order, gaps allowed (Lin 2004, section 3.1)."""
    return _f1(longest_common_subsequence(words, right), len(words), len(right))


def longest_common_subsequence(a: Sequence[str], b: Sequence[str]) -> int:
    """Its length, by a row of bits for all of `a` and one addition for each element of `b` (Hyyrö 2004)."""
    places: dict[str, int] = {}
    for place, word in enumerate(a):
        places[word] = places.get(word, 0) | 1 << place
    everything = (1 << len(a)) - 1
    unmatched = everything
    for word in b:
        here = unmatched & places.get(word, 0)
        unmatched = (unmatched + here | unmatched - here) & everything
    return len(a) - unmatched.bit_count()


def _f1(shared: int, ours: int, theirs: int) -> float:
    return 2 * shared / (ours + theirs) if shared else 0.0
