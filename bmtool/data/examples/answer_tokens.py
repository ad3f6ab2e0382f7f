"""Which tokens of a written conversation are its answers.

A model is given a prompt's tokens and writes what is behind them, so a conversation's tokens begin with those of its
prompt, also where a tokenizer would make one token of the prompt's end and the answer's beginning. Shape letters: T
tokens of a conversation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bmtool.data.tokenizing.chat_template import UnwritableError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from tokenizers import Encoding, Tokenizer

    from bmtool.data.tokenizing.chat_template import Answer, Rendered


@dataclass(frozen=True)
class Tokens:
    """A text's tokens, and where each of them is in it."""

    ids: list[int]
    places: NDArray[np.int64]
    """(T, 2) its first character, and the one behind its last"""
    prompt_length: int

    @classmethod
    def of(cls, rendered: Rendered, whole: Encoding, prompt: Sequence[int], tokenizer: Tokenizer) -> Tokens:
        """The prompt's tokens and those behind them, from the tokens of all the text and the ids of the prompt's.

        Raises:
            UnwritableError: what is behind the prompt can't be encoded without it.
        """
        if whole.ids[: len(prompt)] == prompt:
            return cls(whole.ids, _places(whole), len(prompt))
        behind = rendered.text[len(rendered.prompt) :]
        written = tokenizer.decode(whole.ids, skip_special_tokens=False)
        # Many SentencePiece tokenizers put a space before a text, but not behind a special token.
        special = next((token.content for token in tokenizer.get_added_tokens_decoder().values() if token.special), "")
        for before in ("", special):
            answer = tokenizer.encode(before + behind, add_special_tokens=False)
            first = len(tokenizer.encode(before, add_special_tokens=False).ids)
            ids = [*prompt, *answer.ids[first:]]
            if tokenizer.decode(ids, skip_special_tokens=False) == written:
                start = _places(tokenizer.encode(rendered.prompt, add_special_tokens=False))
                moved = _places(answer)[first:] + len(rendered.prompt) - len(before)
                return cls(ids, np.concatenate([start, moved]), len(prompt))
        raise UnwritableError(
            "the tokenizer joins the end of the prompt and the answer, and writes something else when they are apart. "
            "End the prompt with a special token, or without a space"
        )


@dataclass(frozen=True)
class AnswerTokens:
    """Places in a conversation's tokens."""

    learned: list[int]
    end: int | None
    """The first special token behind what was said, which ends the answer"""
    is_joined: bool
    """Whether its first token begins in what is before the answer; then it isn't learned"""


def answer_tokens(answer: Answer, tokens: Tokens, specials: set[int], *, is_marked: bool) -> AnswerTokens:
    """An answer's tokens up to the one that ends it; where the template marks answers all that is marked, and that."""
    ids, places = tokens.ids, tokens.places
    touched = np.flatnonzero((places[:, 1] > answer.start) & (places[:, 0] < answer.stop))
    own = touched[places[touched, 0] >= answer.start]
    is_joined = len(own) < len(touched)
    if not is_marked:
        own = own[places[own, 1] <= answer.stop]
    behind_said = own[places[own, 0] >= answer.said].tolist()
    end = next((place for place in behind_said if ids[place] in specials), None)
    learned = own.tolist()
    if not is_marked:
        return AnswerTokens([place for place in learned if end is None or place <= end], end, is_joined)
    behind = int(touched[-1]) + 1 if len(touched) else len(ids)
    if end is None and behind < len(ids) and ids[behind] in specials and places[behind, 0] == answer.stop:
        return AnswerTokens([*learned, behind], behind, is_joined)
    return AnswerTokens(learned, end, is_joined)


def _places(encoding: Encoding) -> NDArray[np.int64]:
    return np.asarray(encoding.offsets, np.int64).reshape(-1, 2)
