"""Answers that are copied and not written: the first sentences of a text, or what was right for the most alike one."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING

import numpy as np

from bmtool.data.messages import last_questions_and_answers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bmtool.contracts import Task
    from bmtool.data.dataset import Split

#: The end of a sentence: a line break, a mark before white space, or one of scripts without spaces; with what closes a
#: quotation behind it. The marks are those of Latin, Greek, Arabic and Devanagari, then of Chinese and Japanese.
_SENTENCE_END = re.compile(
    r"""[.!?;\u037e\u061f\u06d4\u0964]["')\]\u00bb\u201d\u2019]*(?=\s)"""
    r"""|[\u3002\uff01\uff1f\uff61][\u300d\u300f\u201d\u2019\uff09]*|\n+"""
)

#: How many sentences are tried.
MAX_SENTENCES = 5

#: Rows that are compared with all others at once: their similarities are a dense matrix.
ROWS_AT_ONCE = 256


def sentences(text: str) -> list[str]:
    """The text in pieces, each with the white space behind it: joined they are the text again."""
    borders = [0, *(match.end() for match in _SENTENCE_END.finditer(text)), len(text)]
    pieces: list[str] = []
    for start, end in itertools.pairwise(borders):
        piece = text[start:end]
        if piece.strip():
            pieces.append(piece)
        elif pieces:
            pieces[-1] += piece
    return pieces


def lead(text: str, count: int) -> str:
    """The first so many sentences."""
    return "".join(sentences(text)[:count]).strip()


def best_count(sources: Sequence[str], targets: Sequence[str]) -> int:
    """How many sentences of the sources are, in the mean, most nearly as long as the targets, in characters."""
    wanted = np.mean([len(text) for text in targets])
    cut = [sentences(text) for text in sources]
    lengths = [np.mean([len("".join(one[:count]).strip()) for one in cut]) for count in range(1, MAX_SENTENCES + 1)]
    return 1 + int(np.argmin(np.abs(np.asarray(lengths) - wanted)))


def sources_and_targets(split: Split, task: Task) -> tuple[list[str], list[str]]:
    """What each row asks, and what is right: its columns, or of a conversation what is before its last answer."""
    if task.of_kind("messages"):
        return last_questions_and_answers(split.column(task.of_kind("messages")[0]).to_pylist())
    source, target = task.of_kind("text")[0], task.of_kind("target")[0]
    return split.column(source).to_pylist(), split.column(target).to_pylist()


def most_alike(known: Sequence[str], texts: Sequence[str]) -> list[int]:
    """For each of `texts` the place of the same one in `known`, else of the one whose TF-IDF vector is nearest.

    Of several the first; also if nothing is shared.
    """
    from bmtool.data.plain_models.tfidf import vectorizer

    places = {text: place for place, text in reversed(list(enumerate(known)))}
    nearest = np.zeros(len(texts), dtype=np.int64)
    if any(text.strip() for text in known):
        words = vectorizer(known)
        rows = words.fit_transform(known).T.tocsr()
        for start in range(0, len(texts), ROWS_AT_ONCE):
            some = words.transform(texts[start : start + ROWS_AT_ONCE])
            nearest[start : start + ROWS_AT_ONCE] = (some @ rows).toarray().argmax(axis=1)
    return [places.get(text, place) for text, place in zip(texts, nearest.tolist(), strict=True)]
