"""What each token of an example is to a task that writes: read, or learned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from bmtool.contracts import Examples
    from bmtool.models.decoding.writing import Writing

#: A text that is read, a special token that is read; a text that is learned, a special token that is learned.
Role = Literal["prompt", "special", "answer", "end"]

#: Stands for a token that is a part of a character.
PART = "\u2025"


@dataclass(frozen=True)
class TokenRole:
    """One token."""

    id: int
    text: str
    role: Role


def token_roles(task: Writing, examples: Examples, row: int, tokenizer: Tokenizer) -> list[TokenRole]:
    """The tokens of one example, as the model gets them and as its loss counts them."""
    batch = task.collate(examples, np.asarray([row]), np.random.default_rng(0))
    learned = set((batch.targets["positions"] + 1).tolist()) if batch.targets else set()
    specials = {id_ for id_, token in tokenizer.get_added_tokens_decoder().items() if token.special}
    ids = batch.input_ids[0].tolist()
    return [
        TokenRole(id_, text, _role(is_learned=place in learned, is_special=id_ in specials))
        for place, (id_, text) in enumerate(zip(ids, _texts(tokenizer, ids, specials), strict=True))
    ]


def _role(*, is_learned: bool, is_special: bool) -> Role:
    if is_special:
        return "end" if is_learned else "special"
    return "answer" if is_learned else "prompt"


def _texts(tokenizer: Tokenizer, ids: list[int], specials: set[int]) -> list[str]:
    """What each token stands for; a character of several tokens is with the last of them."""
    texts, parts = [], list[int]()
    for id_ in ids:
        parts = [id_] if id_ in specials else [*parts, id_]
        text = tokenizer.decode(parts, skip_special_tokens=False)
        if text.endswith("\ufffd"):
            texts.append(PART)
            continue
        texts.append(text or tokenizer.id_to_token(id_) or "")
        parts = []
    return texts
