"""A tokenizer's chat template: from messages to text, and which parts of it are answers."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from bmtool.artifacts.files import write_text
from bmtool.data.messages import ASSISTANT
from bmtool.data.tokenizing.tokenizer_files import CHAT_TEMPLATE
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

#: Stands for what was said, to see where a template puts it; two characters that have no meaning (Unicode, 23.5).
_SAID = "\ue000\uf8ff\ue000"

#: The names of special tokens, which templates may use.
_TOKENS = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token")


class UnwritableError(Exception):
    """A conversation that can't be learned by a template, and why."""


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

    def render(self, messages: Messages) -> Rendered:
        """A conversation; one that doesn't end with an answer is all prompt.

        Raises:
            UnwritableError: the template refuses it, or writes a turn differently once others follow.
        """
        if messages[-1]["role"] != ASSISTANT:
            text = self.prompt(messages)
            return Rendered(text, [], text)
        prompt = self.prompt(messages[:-1])
        places = [place for place, one in enumerate(messages) if one["role"] == ASSISTANT]
        if self.marks_answers:
            [text], [marked] = self._run(messages, return_assistant_tokens_mask=True)
            if not text.startswith(prompt):
                raise self.unstable(places[-1])
            # It may mark some of the answers only; then the last ones.
            spans = dict(zip(reversed(places), reversed(marked), strict=False))
        else:
            text = self._text(messages)
            spans = {place: self._span(messages, place, text) for place in places}
        said = self._said(messages, text)
        answers = []
        for place, (start, stop) in spans.items():
            end = said[place] if place in said else _end_of(messages[place]["content"], text, start, stop)
            answers.append(Answer(place, start, end, stop))
        return Rendered(text, answers, prompt)

    def prompt(self, messages: Messages) -> str:
        """What a model reads that is to answer."""
        return self._text(messages, asks=True)

    @staticmethod
    def unstable(place: int) -> UnwritableError:
        """The error where the prompt isn't how the answered conversation begins."""
        return UnwritableError(
            f"it writes what comes before message {place} in another way once it is answered, or goes on, so it isn't "
            f"known which tokens are the answer. Mark answers in it with {{% generation %}} and {{% endgeneration %}}, "
            f"or give each answer a row of its own that ends with it"
        )

    def _span(self, messages: Messages, place: int, text: str) -> tuple[int, int]:
        """From where to where an answer is in the text, with what the template writes for it."""
        is_last = place + 1 == len(messages)
        before = self.prompt(messages[:place])
        whole = text if is_last else self._text(messages[: place + 1])
        if not (whole.startswith(before) and text.startswith(before)):
            raise self.unstable(place)
        # A template may put something behind a conversation that is over, as Phi-4 does.
        pairs = enumerate(zip(whole, text, strict=False))
        return len(before), next((at for at, (one, other) in pairs if one != other), len(whole))

    def _said(self, messages: Messages, text: str) -> dict[int, int]:
        """Where what each answer says is over in the text; nothing if the template does more than to put it there.

        It is found by what is written around a mark in its place, since what is said may look like anything.
        """
        answers = {place: one["content"] for place, one in enumerate(messages) if one["role"] == ASSISTANT}
        marked = [one | {"content": _SAID} if one["role"] == ASSISTANT else one for one in messages]
        first, *behind = self._text(marked).split(_SAID)
        if len(behind) != len(answers) or not text.startswith(first):
            return {}
        found, at = {}, len(first)
        for (place, content), part in zip(answers.items(), behind, strict=True):
            forms = (content, content.strip(), content.lstrip(), content.rstrip())  # as many templates do
            written = next((form for form in forms if text.startswith(form + part, at)), None)
            if written is None:
                return {}
            found[place] = at + len(written)
            at = found[place] + len(part)
        return found

    def _text(self, messages: Messages, *, asks: bool = False) -> str:
        text: str = self._run(messages, add_generation_prompt=asks)[0][0]
        return text

    def _run(self, messages: Messages, **settings: Any) -> Any:
        from jinja2 import TemplateError
        from transformers.utils.chat_template_utils import render_jinja_template

        try:
            return render_jinja_template([messages], chat_template=self.text, **{**self.tokens, **settings})
        except (TemplateError, TypeError, ValueError) as error:  # what a template does wrong, or says to be wrong
            raise UnwritableError(f"it refuses this one: {error}") from None


def _end_of(content: str, text: str, start: int, stop: int) -> int:
    """Where the content is over that is in a part of the text; the part's start, if it isn't there."""
    found = text.rfind(content.strip(), start, stop)
    return start if found < 0 else found + len(content.strip())


def write_template(folder: Path, template: ChatTemplate) -> None:
    """Put the template beside a tokenizer that has none, where transformers looks for it."""
    if template.is_plain:
        write_text(folder / CHAT_TEMPLATE, template.text)


def _content(token: Any) -> str | None:
    return token.get("content") if isinstance(token, dict) else token
