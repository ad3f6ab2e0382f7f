"""Conversations on their way into a decoder: an example is one, of which the answers are learned.

What is read is what transformers' `apply_chat_template` gives. The columns are those of `bmtool.data.continued`. Shape
letters: N conversations.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bmtool.artifacts.files import write_json
from bmtool.contracts import Examples
from bmtool.data.chat_template import ChatTemplate, write_template
from bmtool.data.messages import ASSISTANT
from bmtool.data.plain_encoding import TEXTS_AT_ONCE, ids_dtype
from bmtool.data.targets import decoder_of
from bmtool.data.tokenizers import load_tokenizer
from bmtool.data.tokens import InMemoryTokens
from bmtool.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from tokenizers import Encoding, Tokenizer

    from bmtool.data.chat_template import Answer, Messages
    from bmtool.data.dataset import Split

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

    Raises:
        DataError: the template can't be learned by, or not with one of the conversations; or only some have an answer.
    """
    coder = _Coder(tokenizer, template, max_prompt_tokens, max_answer_tokens)
    rows: list[Messages] = split.column("messages").to_pylist()
    parts: list[_Conversation] = []
    for start in range(0, len(rows), TEXTS_AT_ONCE):
        some = rows[start : start + TEXTS_AT_ONCE]
        parts += coder.encoded(some, [f"split '{split.name}', row {start + place}" for place in range(len(some))])
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
    """Encodes conversations, and counts what is cut."""

    def __init__(self, tokenizer: Tokenizer, template: ChatTemplate, max_prompt: int, max_answer: int) -> None:
        self.tokenizer, self.template = tokenizer, template
        self.max_prompt, self.max_answer = max_prompt, max_answer
        self.cut = dict.fromkeys(("messages_cut", "texts_cut", "targets_cut", "tokens_cut"), 0)
        self.specials = {id_ for id_, token in tokenizer.get_added_tokens_decoder().items() if token.special}
        self.end = self._end()

    def _end(self) -> int:
        """The token that ends an answer.

        Raises:
            DataError: there is none.
        """
        probe = [{"role": "user", "content": "a"}, {"role": ASSISTANT, "content": "b"}]
        rendered = self.template.render(probe, "a question and its answer")
        encoding = self.tokenizer.encode(rendered.text, add_special_tokens=False)
        end = self._answer_tokens(rendered.answers[-1], encoding)[1] if rendered.answers else None
        if end is None:
            raise DataError(
                f"{self.template.place} puts no special token behind an answer, so a model couldn't learn to stop. "
                f"Put the tokenizer's end token there"
            )
        return int(encoding.ids[end])

    def encoded(self, rows: Sequence[Messages], what: Sequence[str]) -> list[_Conversation]:
        """Conversations, cut where they are too long; `what` each is is for messages."""
        whole = self._whole(rows, what)
        for place, one in enumerate(whole):
            if one.prompt_length > self.max_prompt:
                [whole[place]] = self._whole([self._shorter(rows[place], what[place])], [what[place]])
                self.cut["tokens_cut"] += one.prompt_length - whole[place].prompt_length
        return [self._with_short_answer(one) for one in whole]

    def _whole(self, rows: Sequence[Messages], what: Sequence[str]) -> list[_Conversation]:
        rendered = [self.template.render(messages, name) for messages, name in zip(rows, what, strict=True)]
        texts = self.tokenizer.encode_batch([one.text for one in rendered], add_special_tokens=False)
        prompts = self.tokenizer.encode_batch_fast([one.prompt for one in rendered], add_special_tokens=False)
        out = []
        for messages, name, one, text, prompt in zip(rows, what, rendered, texts, prompts, strict=True):
            if text.ids[: len(prompt.ids)] != prompt.ids:
                raise self.template.unstable(name, len(messages) - 1)
            learned = np.zeros(len(text.ids), dtype=bool)
            for answer in one.answers:
                own, end = self._answer_tokens(answer, text)
                if end is None:
                    raise self.template.unstable(name, answer.place)
                learned[own] = True
            said = sum(len(message["content"].encode()) for message in messages if message["role"] == ASSISTANT)
            out.append(_Conversation(text.ids, learned, len(prompt.ids), said))
        return out

    def _answer_tokens(self, answer: Answer, encoding: Encoding) -> tuple[list[int], int | None]:
        """The places of an answer's tokens, and of the first special one behind what was said, which ends it.

        Up to that one they are learned; where the template marks answers all that is marked, and that one.
        """
        ids, places = encoding.ids, np.asarray(encoding.offsets, np.int64).reshape(-1, 2)
        own = np.flatnonzero((places[:, 1] > answer.start) & (places[:, 0] < answer.stop)).tolist()
        if self.template.marks_answers:
            behind = own[-1] + 1 if own else len(ids)
            end = self._first_special(ids, [place for place in own if places[place, 0] >= answer.said])
            if end is None and behind < len(ids) and ids[behind] in self.specials and places[behind, 0] == answer.stop:
                return [*own, behind], behind
            return own, end
        own = [place for place in own if places[place, 1] <= answer.stop]
        end = self._first_special(ids, [place for place in own if places[place, 0] >= answer.said])
        return [place for place in own if end is None or place <= end], end

    def _first_special(self, ids: list[int], places: list[int]) -> int | None:
        return next((place for place in places if ids[place] in self.specials), None)

    def _shorter(self, messages: Messages, what: str) -> Messages:
        """The conversation with a prompt that fits: without its oldest messages, then with less of the last one."""
        answers = messages[-1:] if messages[-1]["role"] == ASSISTANT else []
        asked = messages[: len(messages) - len(answers)]
        while len(asked) > 1 and self._prompt_length(asked, what) > self.max_prompt:
            oldest = next((place for place, one in enumerate(asked[:-1]) if one["role"] not in SYSTEM), 0)
            num_gone = 2 if oldest + 2 < len(asked) and asked[oldest + 1]["role"] == ASSISTANT else 1
            asked = asked[:oldest] + asked[oldest + num_gone :]
            self.cut["messages_cut"] += num_gone
        if self._prompt_length(asked, what) <= self.max_prompt:
            return asked + answers
        self.cut["texts_cut"] += 1
        role, text = asked[0]["role"], asked[0]["content"]
        fits, fits_not = 0, len(text)
        while fits + 1 < fits_not:
            middle = (fits + fits_not) // 2
            is_short = self._prompt_length([{"role": role, "content": text[:middle]}], what) <= self.max_prompt
            fits, fits_not = (middle, fits_not) if is_short else (fits, middle)
        if not fits:
            raise DataError(f"{what}: max_seq_length ({self.max_prompt}) leaves no room for text. Raise it")
        return [{"role": role, "content": text[:fits]}, *answers]

    def _prompt_length(self, asked: Messages, what: str) -> int:
        text = self.template.prompt(asked, what)
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
