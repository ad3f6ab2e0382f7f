"""What each token of an example is to a task that writes: read, or learned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from bmtool.contracts import Examples
    from bmtool.models.writing import Writing

#: A text that is read, a special token that is read; a text that is learned, a special token that is learned.
Role = Literal["prompt", "special", "answer", "end"]


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
    return [
        TokenRole(id_, _text(tokenizer, id_), _role(is_learned=place in learned, is_special=id_ in specials))
        for place, id_ in enumerate(batch.input_ids[0].tolist())
    ]


def _role(*, is_learned: bool, is_special: bool) -> Role:
    if is_special:
        return "end" if is_learned else "special"
    return "answer" if is_learned else "prompt"


def _text(tokenizer: Tokenizer, id_: int) -> str:
    """What the token stands for; one that is a part of a character as the vocabulary writes it."""
    text = tokenizer.decode([id_], skip_special_tokens=False)
    return tokenizer.id_to_token(id_) or "" if "\ufffd" in text or not text else text
