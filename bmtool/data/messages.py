"""Conversations as rows hold them: what was said, by whom, and what of it is read as text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bmtool.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable

#: Who answers; all others ask, or say what is the case.
ASSISTANT = "assistant"

ROLES = ("system", "developer", "user", ASSISTANT, "tool")

#: What is said, in turn.
MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))

#: The roles' names in ShareGPT's files, which have `from` and `value` for `role` and `content`.
_OTHER_NAMES = {"human": "user", "gpt": ASSISTANT}

#: What a message may hold besides that would be lost; a row with one is rejected and counted.
_UNREAD = ("tool_calls", "function_call")


class NoConversationError(Exception):
    """A value that is no conversation, and why."""


def conversation(value: Any) -> list[dict[str, str]] | None:
    """A list of messages as MESSAGES has them; None stays None.

    Raises:
        NoConversationError: it is something else, or nothing is said.
    """
    if value is None:
        return None
    if not isinstance(value, list) or not value:
        raise NoConversationError("expected a list of messages")
    return [_message(one) for one in value]


def _message(value: Any) -> dict[str, str]:
    if not isinstance(value, dict):
        raise NoConversationError("expected messages with role and content")
    role = value.get("role", value.get("from"))
    content = value.get("content", value.get("value"))
    role = _OTHER_NAMES.get(role, role) if isinstance(role, str) else role
    if role not in ROLES:
        raise NoConversationError(f"a role must be one of {', '.join(ROLES)}")
    if not isinstance(content, str):
        raise NoConversationError("a message's content must be text")
    for name in _UNREAD:
        if value.get(name):
            raise NoConversationError(f"a message with {name} can't be read")
    if value.get("weight") == 0:
        raise NoConversationError("an answer that isn't to be learned (weight 0) can't be read")
    return {"role": role, "content": content}


def answered(value: Any) -> list[dict[str, str]] | None:
    """The same, of which the last message must be an answer.

    Raises:
        NoConversationError: it isn't.
    """
    messages = conversation(value)
    if messages is None:
        return None
    if messages[-1]["role"] != ASSISTANT:
        raise NoConversationError(f"the last message must be the {ASSISTANT}'s")
    if not asked(messages):
        raise NoConversationError("nothing is asked before the answer")
    return messages


def asked(messages: list[dict[str, str]]) -> list[dict[str, str]]:
    """The messages without the answer at their end."""
    last = next((place for place in range(len(messages), 0, -1) if messages[place - 1]["role"] != ASSISTANT), 0)
    return messages[:last]


def as_one_text(value: Any) -> str:
    """A conversation as a text, a line break between messages.

    Raises:
        NoConversationError: it is none.
    """
    return "\n".join(message["content"] for message in conversation(value) or [])


def contents(messages: pa.Array) -> pa.Array:
    """(N,) lists of what was said."""
    return _lists(messages, pc.list_flatten(messages).field("content"))


def with_contents(messages: pa.Array, change: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """The messages with the contents that `change` makes of all of theirs, (M,) to (M,)."""
    flat = pc.list_flatten(messages)
    said = pa.StructArray.from_arrays([flat.field("role"), change(flat.field("content"))], fields=list(flat.type))
    return _lists(messages, said)


def as_text(column: pa.Array) -> pa.Array:
    """A column of texts as it is; one of conversations as texts, a line break between messages."""
    return pc.binary_join(contents(column), "\n") if column.type == MESSAGES else column


def _lists(like: pa.Array, members: pa.Array) -> pa.Array:
    lengths = pc.fill_null(pc.list_value_length(like), 0).to_numpy(zero_copy_only=False)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
    mask = like.is_null() if like.null_count else None
    return pa.ListArray.from_arrays(pa.array(offsets), members, mask=mask)


def last_questions_and_answers(conversations: list[list[dict[str, str]]]) -> tuple[list[str], list[str]]:
    """What was said before each conversation's last answer, as one text, and that answer.

    Raises:
        DataError: one has none.
    """
    questions, answers = [], []
    for row, messages in enumerate(conversations):
        if messages[-1]["role"] != ASSISTANT:
            raise DataError(f"row {row} has no answer at its end")
        questions.append("\n".join(one["content"] for one in messages[:-1]))
        answers.append(messages[-1]["content"])
    return questions, answers
