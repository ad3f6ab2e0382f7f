"""A tokenizer's chat template: from messages to text, and which parts of it are answers."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from bmtool.artifacts.files import write_text
from bmtool.data.messages import ASSISTANT
from bmtool.data.tokenizer_files import CHAT_TEMPLATE
from bmtool.errors import DataError, MissingInputError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    Messages = list[dict[str, str]]

#: For a tokenizer without one. A turn is a role and what was said, both closed by the token that ends a text: borders
#: are tokens of the vocabulary, and no text is ever joined with what is beside it. It begins as texts of `clm` do.
PLAIN = """\
{%- if bos_token is defined %}{{ bos_token }}{% endif %}
{%- for message in messages %}
{{- message.role + eos_token }}
{%- if message.role == 'assistant' %}
{%- generation %}{{ message.content + eos_token }}{% endgeneration %}
{%- else %}
{{- message.content + eos_token }}
{%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{ 'assistant' + eos_token }}{% endif %}
"""

#: What transformers looks for before it asks a template which parts of it are answers.
_GENERATION = re.compile(r"\{%-?\s*generation\s*-?%\}")

#: The names of special tokens, which templates may use.
_TOKENS = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")


@dataclass(frozen=True)
class Answer:
    """Where an answer is in a text, in characters."""

    place: int
    """Which message it is"""
    start: int
    said: int
    """Where what was said is over; behind it comes what ends the turn"""
    stop: int


@dataclass(frozen=True)
class Rendered:
    """A conversation as the model reads it."""

    text: str
    answers: list[Answer]
    prompt: str
    """What the model is given to write the last answer"""


@dataclass(frozen=True)
class ChatTemplate:
    """A template, and the tokens that it may name."""

    text: str
    place: str
    """Where it is from, for messages"""
    tokens: Mapping[str, str]

    @classmethod
    def of(cls, folder: Path) -> ChatTemplate:
        """The one of the tokenizer in `folder`, else the plain one.

        Raises:
            MissingInputError: there is none, and no token for the end of a text, which the plain one needs.
            DataError: there are several, and none of them is the default.
        """
        path = folder / "tokenizer_config.json"
        config = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
        named = {name: _content(config.get(name)) for name in _TOKENS}
        tokens = {name: token for name, token in named.items() if token}
        own = folder / CHAT_TEMPLATE
        if own.is_file():
            return cls(own.read_text(encoding="utf-8"), str(own), tokens)
        given = config.get("chat_template")
        if isinstance(given, list):
            given = {one.get("name"): one.get("template") for one in given}.get("default")
            if given is None:
                raise DataError(f"{path}: there are several chat templates, and none of them is called 'default'")
        if given:
            return cls(given, str(path), tokens)
        if "eos_token" not in tokens:
            raise MissingInputError(
                f"{folder}: there is no chat template, and no eos_token to make a plain one with. "
                f"Put a template into {CHAT_TEMPLATE}"
            )
        return cls(PLAIN, "bmtool's plain chat template", tokens)

    @property
    def is_plain(self) -> bool:
        """Whether it isn't the tokenizer's own."""
        return self.text == PLAIN

    @cached_property
    def marks_answers(self) -> bool:
        """Whether it says itself which parts are answers, by `{% generation %}`."""
        return bool(_GENERATION.search(self.text))

    def render(self, messages: Messages, what: str) -> Rendered:
        """A conversation; one that doesn't end with an answer is all prompt. `what` it is is for messages.

        Raises:
            DataError: the template refuses it, or writes a turn differently once others follow.
        """
        if messages[-1]["role"] != ASSISTANT:
            text = self.prompt(messages, what)
            return Rendered(text, [], text)
        prompt = self.prompt(messages[:-1], what)
        places = [place for place, one in enumerate(messages) if one["role"] == ASSISTANT]
        if self.marks_answers:
            [text], [marked] = self._run(messages, what, return_assistant_tokens_mask=True)
            # It may mark some of the answers only; then the last ones.
            spans = zip(reversed(places), reversed(marked), strict=False)
            return Rendered(text, [_answer(place, messages, text, *span) for place, span in spans], prompt)
        text = self._text(messages, what)
        answers = []
        for place in places:
            is_last = place + 1 == len(messages)
            before = prompt if is_last else self.prompt(messages[:place], what)
            whole = text if is_last else self._text(messages[: place + 1], what)
            if not (whole.startswith(before) and text.startswith(before)):
                raise self.unstable(what, place)
            # A template may put something behind a conversation that is over, as Phi-4 does.
            pairs = enumerate(zip(whole, text, strict=False))
            stop = next((at for at, (one, other) in pairs if one != other), len(whole))
            answers.append(_answer(place, messages, text, len(before), stop))
        return Rendered(text, answers, prompt)

    def prompt(self, messages: Messages, what: str) -> str:
        """What a model reads that is to answer."""
        return self._text(messages, what, asks=True)

    def unstable(self, what: str, place: int) -> DataError:
        """The error for a template of which the prompt isn't how the answered conversation begins."""
        return DataError(
            f"{what}: {self.place} writes what comes before message {place} in another way once it is answered, or "
            f"goes on, so it isn't known which tokens are the answer. Mark answers in it with {{% generation %}} and "
            f"{{% endgeneration %}}, or give each answer a row of its own that ends with it"
        )

    def _text(self, messages: Messages, what: str, *, asks: bool = False) -> str:
        text: str = self._run(messages, what, add_generation_prompt=asks)[0][0]
        return text

    def _run(self, messages: Messages, what: str, **settings: Any) -> Any:
        from jinja2 import TemplateError
        from transformers.utils.chat_template_utils import render_jinja_template

        try:
            return render_jinja_template([messages], chat_template=self.text, **{**self.tokens, **settings})
        except (TemplateError, TypeError, ValueError) as error:  # what a template does wrong, or says to be wrong
            raise DataError(f"{what}: {self.place} can't write this conversation: {error}") from None


def _answer(place: int, messages: Messages, text: str, start: int, stop: int) -> Answer:
    content = messages[place]["content"].strip()  # as many templates do
    found = text.find(content, start, stop)
    return Answer(place, start, start if found < 0 else found + len(content), stop)


def write_template(folder: Path, template: ChatTemplate) -> None:
    """Put the template beside a tokenizer that has none, where transformers looks for it."""
    if template.is_plain:
        write_text(folder / CHAT_TEMPLATE, template.text)


def _content(token: Any) -> str | None:
    return token.get("content") if isinstance(token, dict) else token
