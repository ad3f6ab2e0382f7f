"""Conversations on their way into a decoder: an example is one, of which the answers are learned.

What is read is what transformers' `apply_chat_template` gives. The columns are those of
`bmtool.data.examples.continued`. Shape letters: N conversations.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bmtool.artifacts.files import write_json
from bmtool.contracts import Examples
from bmtool.data.examples.answer_tokens import Tokens, answer_tokens
from bmtool.data.examples.targets import decoder_of
from bmtool.data.messages import ASSISTANT
from bmtool.data.tokenizing.chat_template import ChatTemplate, UnwritableError, write_template
from bmtool.data.tokenizing.plain_encoding import TEXTS_AT_ONCE, ids_dtype
from bmtool.data.tokenizing.tokenizers import load_tokenizer
from bmtool.data.tokens import InMemoryTokens
from bmtool.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from tokenizers import Tokenizer

    from bmtool.data.dataset import Split
    from bmtool.data.examples.answer_tokens import AnswerTokens
    from bmtool.data.tokenizing.chat_template import Answer, Messages, Rendered

#: So many of the rows with which something is wrong are named.
NAMED_ROWS = 3

#: Who says what holds for a whole conversation.
SYSTEM = ("system", "developer")


@dataclass(frozen=True)
class _Conversation:
    """One of them, encoded."""

    ids: list[int]
    is_learned: NDArray[np.bool_]
    prompt_length: int
    num_bytes: float
    """Of what is learned, in UTF-8"""


def conversations(
    split: Split, tokenizer: Tokenizer, template: ChatTemplate, *, max_prompt_tokens: int, max_answer_tokens: int
) -> Examples:
    """Encode the column `messages`; the last answers become `references`, lists of one, if rows end with one.

    Of a prompt that is too long the oldest messages go (`messages_cut`), a system's last; if one message alone is too
    long, its end (`texts_cut`). A last answer that is too long is cut (`targets_cut`), and then its end isn't learned.

    Of earlier answers a token that begins in what is before them isn't learned (`first_tokens_unlearned`). An answer
    that says the very token that ends it (`answers_with_an_end`) is learned, and its row named.

    Raises:
        DataError: the template can't be learned by, or not with some of the conversations; or only some have an answer.
    """
    coder = _Coder(tokenizer, template, max_prompt_tokens, max_answer_tokens)
    rows: list[Messages] = split.column("messages").to_pylist()
    parts: list[_Conversation] = []
    for start in range(0, len(rows), TEXTS_AT_ONCE):
        parts += coder.encoded(rows[start : start + TEXTS_AT_ONCE], start)
    coder.check(split.name, len(rows))
    lengths = np.asarray([len(part.ids) for part in parts], np.int64)
    columns: dict[str, Any] = {"prompt_lengths": np.asarray([part.prompt_length for part in parts], np.int64)}
    answered = [messages[-1]["role"] == ASSISTANT for messages in rows]
    if any(answered):
        if not all(answered):
            raise DataError(f"split '{split.name}': row {answered.index(False)} has no answer at its end")
        columns["learned"] = np.concatenate([part.is_learned for part in parts])
        columns["learned_starts"] = np.cumsum(lengths) - lengths
        columns["references"] = [[messages[-1]["content"]] for messages in rows]
        columns["bytes"] = np.asarray([part.num_bytes for part in parts], np.float64)
    ids = np.asarray([token for part in parts for token in part.ids], ids_dtype(tokenizer.get_vocab_size()))
    return Examples(
        tokens=InMemoryTokens(ids),
        starts=np.cumsum(lengths) - lengths,
        lengths=lengths,
        prefix=(),
        suffix=(),
        columns=columns,
        cut=dict(coder.cut),
        notes=tuple(coder.notes),
        vocab_size=tokenizer.get_vocab_size(),
        decode=decoder_of(tokenizer),
        end=coder.end,
    )


def furnish(folder: Path) -> None:
    """Write into a checkpoint's folder what else transformers must know to go on with a conversation.

    That is the chat template, if the tokenizer brought none, and that answers end with what ends them in it: a base
    model that learned another template has a token for the end of a text alone.
    """
    template = ChatTemplate.of(folder)
    write_template(folder, template)
    end = _Coder(load_tokenizer(folder), template, 0, 0).end
    path = folder / "generation_config.json"
    settings = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    known = settings.get("eos_token_id")
    ends = known if isinstance(known, list) else [] if known is None else [known]
    if end not in ends:
        write_json(path, {**settings, "_from_model_config": False, "eos_token_id": [end, *ends]})


class _Coder:
    """Encodes conversations; counts what is cut, and names what can't be learned."""

    def __init__(self, tokenizer: Tokenizer, template: ChatTemplate, max_prompt: int, max_answer: int) -> None:
        self.tokenizer, self.template = tokenizer, template
        self.max_prompt, self.max_answer = max_prompt, max_answer
        self.cut = dict.fromkeys(("messages_cut", "texts_cut", "targets_cut", "tokens_cut"), 0)
        self.cut |= dict.fromkeys(("first_tokens_unlearned", "answers_with_an_end"), 0)
        self.notes: list[str] = []
        self.faults: dict[int, str] = {}
        """Rows that can't be learned, and why"""
        self.specials = {id_ for id_, token in tokenizer.get_added_tokens_decoder().items() if token.special}
        self.end = self._end()

    def _end(self) -> int:
        """The token that ends an answer.

        Raises:
            DataError: there is none.
        """
        try:
            rendered = self.template.render([{"role": "user", "content": "a"}, {"role": ASSISTANT, "content": "b"}])
            tokens = self._tokens(rendered)
        except UnwritableError as error:
            raise DataError(f"{self.template.place} can't write a question and its answer: {error}") from None
        end = self._of_answer(rendered.answers[-1], tokens).end if rendered.answers else None
        if end is None:
            raise DataError(
                f"{self.template.place} puts no special token behind an answer, so a model couldn't learn to stop. "
                f"Put the tokenizer's end token there"
            )
        return tokens.ids[end]

    def check(self, split: str, num_rows: int) -> None:
        """Raise DataError if some rows can't be learned: all are counted, the first ones named."""
        if not self.faults:
            return
        named = [f"row {row}: {reason}" for row, reason in list(self.faults.items())[:NAMED_ROWS]]
        if len(self.faults) > NAMED_ROWS:
            named.append(f"and {len(self.faults) - NAMED_ROWS:,} more")
        raise DataError(
            f"split '{split}': {self.template.place} fails on {len(self.faults):,} of "
            f"{num_rows:,} conversations; {'; '.join(named)}"
        )

    def encoded(self, rows: Sequence[Messages], first: int) -> list[_Conversation]:
        """Conversations, the first of them row `first`, cut where they are too long; of `faults` there is none."""
        rendered: dict[int, Rendered] = {}
        for place, messages in enumerate(rows):
            try:
                rendered[place] = self.template.render(messages)
            except UnwritableError as error:
                self.faults[first + place] = self._reason(messages, error)
        texts = self.tokenizer.encode_batch([one.text for one in rendered.values()], add_special_tokens=False)
        prompts = self.tokenizer.encode_batch_fast([one.prompt for one in rendered.values()], add_special_tokens=False)
        out = []
        for (place, one), text, prompt in zip(rendered.items(), texts, prompts, strict=True):
            try:
                tokens = Tokens.of(one, text, prompt.ids, self.tokenizer)
                out.append(self._fitting(rows[place], one, tokens, first + place))
            except UnwritableError as error:
                self.faults[first + place] = self._reason(rows[place], error)
        return out

    def _fitting(self, messages: Messages, rendered: Rendered, tokens: Tokens, row: int) -> _Conversation:
        """A conversation, cut where it is too long."""
        if tokens.prompt_length > self.max_prompt:
            messages, whole_length = self._shorter(messages, row), tokens.prompt_length
            rendered = self.template.render(messages)
            tokens = self._tokens(rendered)
            self.cut["tokens_cut"] += whole_length - tokens.prompt_length
        learned = np.zeros(len(tokens.ids), dtype=bool)
        for answer in rendered.answers:
            own = self._of_answer(answer, tokens)
            if own.end is None:
                raise self.template.unstable(answer.place)
            learned[own.learned] = True
            self.cut["first_tokens_unlearned"] += own.is_joined
            if self.end in [tokens.ids[place] for place in own.learned if place < own.end]:
                self._note_end(answer, row)
        said = sum(len(message["content"].encode()) for message in messages if message["role"] == ASSISTANT)
        return self._with_short_answer(_Conversation(tokens.ids, learned, tokens.prompt_length, said))

    def _note_end(self, answer: Answer, row: int) -> None:
        """Count and name an answer that a model that learned it would end too early."""
        self.cut["answers_with_an_end"] += 1
        if len(self.notes) < NAMED_ROWS:
            end = self.tokenizer.id_to_token(self.end)
            self.notes.append(f"row {row}: message {answer.place} says {end}, which ends answers: writing stops there")

    def _reason(self, messages: Messages, error: UnwritableError) -> str:
        """Why a conversation can't be learned, and whether it is the template's fault or what the row says."""
        try:
            rendered = self.template.render([one | {"content": "a"} for one in messages])
            tokens = self._tokens(rendered)
        except UnwritableError:
            return str(error)
        if any(self._of_answer(answer, tokens).end is None for answer in rendered.answers):
            return str(error)
        return f"{error}. It does write these turns when they say something else, so mend the row or take it out"

    def _tokens(self, rendered: Rendered) -> Tokens:
        whole, prompt = self.tokenizer.encode_batch([rendered.text, rendered.prompt], add_special_tokens=False)
        return Tokens.of(rendered, whole, prompt.ids, self.tokenizer)

    def _of_answer(self, answer: Answer, tokens: Tokens) -> AnswerTokens:
        return answer_tokens(answer, tokens, self.specials, is_marked=self.template.marks_answers)

    def _shorter(self, messages: Messages, row: int) -> Messages:
        """The conversation with a prompt that fits: without its oldest messages, then with less of the last one."""
        answers = messages[-1:] if messages[-1]["role"] == ASSISTANT else []
        asked = messages[: len(messages) - len(answers)]
        while len(asked) > 1 and self._prompt_length(asked) > self.max_prompt:
            oldest = next((place for place, one in enumerate(asked[:-1]) if one["role"] not in SYSTEM), 0)
            num_gone = 2 if oldest + 2 < len(asked) and asked[oldest + 1]["role"] == ASSISTANT else 1
            asked = asked[:oldest] + asked[oldest + num_gone :]
            self.cut["messages_cut"] += num_gone
        if self._prompt_length(asked) <= self.max_prompt:
            return asked + answers
        self.cut["texts_cut"] += 1
        role, text = asked[0]["role"], asked[0]["content"]
        fits, fits_not = 0, len(text)
        while fits + 1 < fits_not:
            middle = (fits + fits_not) // 2
            is_short = self._prompt_length([{"role": role, "content": text[:middle]}]) <= self.max_prompt
            fits, fits_not = (middle, fits_not) if is_short else (fits, middle)
        if not fits:
            raise DataError(f"row {row}: max_seq_length ({self.max_prompt}) leaves no room for text. Raise it")
        return [{"role": role, "content": text[:fits]}, *answers]

    def _prompt_length(self, asked: Messages) -> int:
        text = self.template.prompt(asked)
        return len(self.tokenizer.encode(text, add_special_tokens=False).ids)

    def _with_short_answer(self, one: _Conversation) -> _Conversation:
        """The conversation with at most so many tokens behind its prompt."""
        length = one.prompt_length + self.max_answer
        kept = _Conversation(one.ids[:length], one.is_learned[:length], one.prompt_length, one.num_bytes)
        lost = int(one.is_learned[length:].sum())
        if not lost:
            return kept
        self.cut["targets_cut"] += 1
        self.cut["tokens_cut"] += lost
        return replace(kept, num_bytes=one.num_bytes * (1 - lost / int(one.is_learned.sum())))
