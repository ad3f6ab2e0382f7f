"""The sentence of a context that has most words in common with a question: an answer without a model."""

from __future__ import annotations

import math
import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bmtool.data.scoring.short_answers import normalised, shared_tokens, tokens

if TYPE_CHECKING:
    from collections.abc import Sequence

#: Ends of sentences: marks with white space behind, full-width ones of Chinese and Japanese without, line breaks.
_ENDS = re.compile(r"(?<=[.!?])\s+|(?<=[\u3002\uff01\uff1f])|\n+")

#: Training rows that the threshold is chosen on.
MOST_ROWS = 2000


@dataclass(frozen=True)
class SentenceOverlap:
    """Words weigh as much as they are rare in the contexts it has seen."""

    weights: dict[str, float]
    unseen: float
    threshold: float = 0.0
    """The share of a question's weight that a sentence must have to be the answer"""

    @classmethod
    def learned(
        cls, questions: Sequence[str], contexts: Sequence[str], answers: Sequence[Sequence[str]]
    ) -> SentenceOverlap:
        """Weights from `contexts`, and the threshold by which most F1 is reached on the first rows."""
        counts = Counter(word for context in contexts for word in set(tokens(context)))
        weights = {word: math.log(len(contexts) / count) for word, count in counts.items()}
        model = cls(weights, math.log(max(len(contexts), 1)))
        found = [model.best(*one) for one in zip(questions[:MOST_ROWS], contexts[:MOST_ROWS], strict=True)]
        right = [[normalised(text) for text in texts] or [""] for texts in answers[:MOST_ROWS]]
        shares = np.asarray([share for _, share in found])
        with_it = [max(shared_tokens(normalised(s), one) for one in r) for (s, _), r in zip(found, right, strict=True)]
        without = [max(shared_tokens("", one) for one in r) for r in right]
        # Above each threshold the sentence is given, below nothing.
        order = np.argsort(shares, kind="stable")
        gain = np.concatenate([[0.0], np.cumsum(np.asarray(without)[order] - np.asarray(with_it)[order])])
        borders = np.append(shares[order], np.inf)
        gain[1:][borders[1:] == borders[:-1]] = -np.inf  # a threshold can't divide equal shares
        return cls(model.weights, model.unseen, float(borders[int(gain.argmax())]))

    def best(self, question: str, context: str) -> tuple[str, float]:
        """The sentence with most of the question's weight, the first of equals, and its share of it."""
        wanted = {word: self.weights.get(word, self.unseen) for word in tokens(question)}
        total = sum(wanted.values())
        best, most = "", -1.0
        for sentence in _ENDS.split(context):
            shared = sum(wanted[word] for word in wanted.keys() & set(tokens(sentence)))
            if shared > most:
                best, most = sentence.strip(), shared
        return best, most / total if total else 0.0

    def answer(self, question: str, context: str) -> str:
        """That sentence, or nothing below the threshold."""
        sentence, share = self.best(question, context)
        return sentence if share >= self.threshold else ""
