"""Texts with the texts that are to be written for them, on their way into a model: one example holds both.

An example is `prefix source suffix start prefix target suffix`: prefix and suffix are what the tokenizer puts around a
text, and `start` is where writing begins. It is the end token here; an encoder-decoder reads its own start token in its
place. Without targets the example ends behind `start`. Shape letters: N examples.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bmtool.contracts import Examples
from bmtool.data.examples.texts import joined_spans
from bmtool.data.tokenizing.encode import encode
from bmtool.data.tokenizing.plain_encoding import special_affixes
from bmtool.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray
    from tokenizers import Tokenizer

    from bmtool.contracts import Columns
    from bmtool.data.dataset import Split

#: What stands at the end of a text where a tokenizer puts nothing there itself, as in GPT-2 and in old T5 files.
END_TOKENS = ("<|endoftext|>", "</s>")

#: A column of examples: their numbers, by which tokens are drawn, where these aren't their places.
DRAWN_BY = "drawn_by"

#: Targets that are encoded and decoded again, to see whether the tokenizer can write; more than half must come back.
PROBED_TEXTS, WRITTEN_RATIO = 100, 0.5


@dataclass(frozen=True)
class Prompt:
    """What is put around a text so that a model knows what to write."""

    column: str
    before: str = ""
    after: str = ""

    @classmethod
    def of(cls, column: str, template: str) -> Prompt:
        """A template that has `{column}` in it once."""
        before, _, after = template.partition(f"{{{column}}}")
        return cls(column, before, after)


@dataclass(frozen=True)
class Frame:
    """What a tokenizer puts around a text."""

    prefix: tuple[int, ...]
    suffix: tuple[int, ...]
    """Ends with the token that says that a text is over."""

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> Frame:
        """What `tokenizer` does.

        Raises:
            DataError: it has no token for the end of a text.
        """
        prefix, suffix = special_affixes(tokenizer)
        if suffix:
            return cls(prefix, suffix)
        end = next((i for i in map(tokenizer.token_to_id, END_TOKENS) if i is not None), None)
        if end is None:
            raise DataError(
                f"the tokenizer has no token for the end of a text ({' or '.join(END_TOKENS)}), so a model couldn't "
                f"learn to stop. Prepare a corpus with 'tokenizer: bpe' or 'unigram', or take a checkpoint's"
            )
        return cls(prefix, (end,))

    @classmethod
    def of_decoder(cls, tokenizer: Tokenizer, end: int | None) -> Frame:
        """What stands around a text that a decoder reads from its first token on, as `clm` has it; never nothing.

        `end` is what the model's own files call the end of a text, for a tokenizer that puts nothing behind one.

        Raises:
            DataError: it has no token for the end of a text.
        """
        prefix, suffix = special_affixes(tokenizer)
        suffix = suffix or ((end,) if end is not None else cls.of(tokenizer).suffix)
        border = next((i for i in map(tokenizer.token_to_id, END_TOKENS) if i is not None), suffix[-1])
        return cls(prefix or (border,), suffix)

    @property
    def end(self) -> int:
        """The token that says that a text is over."""
        return self.suffix[-1]

    def room(self, max_tokens: int, what: str) -> int:
        """How many tokens of a text fit.

        Raises:
            DataError: none.
        """
        room = max_tokens - len(self.prefix) - len(self.suffix)
        if room < 1:
            raise DataError(f"{what} ({max_tokens}) leaves no room for text beside the special tokens")
        return room


def sources_and_targets(
    split: Split, tokenizer: Tokenizer, prompt: Prompt, *, max_source_tokens: int, max_target_tokens: int
) -> Examples:
    """Encode the prompts and, if the split has it, `target`, whose texts become `references`, lists of one.

    Of what is too long, special tokens included, the end is lost and counted; that a text ends is learned only where it
    does: not of targets that `is_unended` (N,) marks. The column `second_starts` (N,) says where `start` is in each
    example.

    Raises:
        DataError: a target is missing, or the tokenizer can't write texts.
    """
    frame = Frame.of(tokenizer)
    spans = [encoded_prompts(split, tokenizer, prompt, frame.room(max_source_tokens, "max_seq_length"))]
    columns: dict[str, Any] = {"second_starts": len(frame.prefix) + spans[0].kept + len(frame.suffix)}
    between: tuple[int, ...] = ()
    suffix = (*frame.suffix, frame.end)
    cut = {"texts_cut": spans[0].num_cut, "tokens_cut": spans[0].num_lost}
    if "target" in split.schema.names:
        spans.append(encoded_targets(split, tokenizer, frame.room(max_target_tokens, "max_new_tokens")))
        columns |= right_columns(split, spans[1]) | {"is_unended": spans[1].is_cut}
        between, suffix = (*frame.suffix, frame.end, *frame.prefix), frame.suffix
        cut["targets_cut"] = spans[1].num_cut
        cut["tokens_cut"] += spans[1].num_lost
    tokens, lengths = joined_spans([(span.ids, span.starts, span.kept) for span in spans], between)
    return Examples(
        tokens=tokens,
        starts=np.cumsum(lengths) - lengths,
        lengths=lengths,
        prefix=frame.prefix,
        suffix=suffix,
        columns=columns,
        cut=cut,
        vocab_size=tokenizer.get_vocab_size(),
        decode=decoder_of(tokenizer),
        end=frame.end,
    )


def right_columns(split: Split, answers: Spans) -> dict[str, Any]:
    """The columns `references`, lists of one text, and `bytes` (N,), the UTF-8 bytes of what is kept, by tokens."""
    references = references_of(split)
    sizes = np.asarray([len(text.encode()) for [text] in references], np.float64)
    return {"references": references, "bytes": sizes * answers.kept / np.maximum(answers.full, 1)}


def encoded_prompts(split: Split, tokenizer: Tokenizer, prompt: Prompt, room: int) -> Spans:
    """Prompts of at most `room` tokens: of one that is longer the end of the text is lost, and what is behind it stays.

    Raises:
        DataError: there is no room for any of the text.
    """
    texts = split.column(prompt.column)
    heads = pc.binary_join_element_wise(prompt.before, texts, "") if prompt.before else texts
    spans = _cut(pc.binary_join_element_wise(heads, prompt.after, "") if prompt.after else heads, tokenizer, room)
    rows = np.flatnonzero(spans.is_cut)
    if not prompt.after or not len(rows):
        return spans
    tail = np.asarray(tokenizer.encode(prompt.after, add_special_tokens=False).ids, spans.ids.dtype)
    room -= len(tail)
    if room < len(tokenizer.encode(prompt.before, add_special_tokens=False).ids) + 1:
        raise DataError("max_seq_length leaves no room for text beside that of the prompt. Raise it")
    cut = _cut(heads.take(pa.array(rows)), tokenizer, room)
    parts = [np.append(cut.ids[start : start + kept], tail) for start, kept in zip(cut.starts, cut.kept, strict=True)]
    lengths = np.asarray([len(part) for part in parts])
    starts, kept = spans.starts.copy(), spans.kept.copy()
    starts[rows], kept[rows] = len(spans.ids) + np.cumsum(lengths) - lengths, lengths
    return replace(spans, ids=np.concatenate([spans.ids, *parts]), starts=starts, kept=kept)


def answers_cut(outputs: Columns) -> dict[str, int]:
    """How many of the texts that a task wrote were cut, where it writes any."""
    return {"answers_cut": int(outputs["is_cut"].sum())} if "is_cut" in outputs else {}


@dataclass(frozen=True)
class Spans:
    """What is taken of N texts."""

    ids: NDArray[Any]
    starts: NDArray[np.int64]
    kept: NDArray[np.int64]
    """(N,) tokens that are taken"""
    full: NDArray[np.int64]
    """(N,) tokens that there are"""

    @property
    def is_cut(self) -> NDArray[np.bool_]:
        """(N,)"""
        return self.full > self.kept

    @property
    def num_cut(self) -> int:
        """Texts that were cut."""
        return int(self.is_cut.sum())

    @property
    def num_lost(self) -> int:
        """Tokens of all of them that aren't taken."""
        return int((self.full - self.kept).sum())


def encoded_targets(split: Split, tokenizer: Tokenizer, room: int) -> Spans:
    """The column `target`, cut at `room` tokens.

    Raises:
        DataError: a target is missing, or the tokenizer can't write texts.
    """
    targets = split.column("target")
    if targets.null_count:
        raise DataError(f"split '{split.name}': {targets.null_count} values of column 'target' are missing")
    require_writing(targets, split.name, tokenizer, "targets")
    return _cut(targets, tokenizer, room)


def references_of(split: Split) -> list[list[str]]:
    """The column `target`, lists of one right text."""
    return [[text] for text in split.column("target").to_pylist()]


def numbers_of(examples: Examples, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """By which tokens are drawn for some examples: their places, unless they are parts of something longer."""
    return np.asarray(examples.columns[DRAWN_BY][rows] if DRAWN_BY in examples.columns else rows)


def decoder_of(tokenizer: Tokenizer) -> Callable[[Sequence[Sequence[int]]], list[str]]:
    """Rows of token ids to texts without special tokens."""
    return lambda ids: tokenizer.decode_batch([list(row) for row in ids], skip_special_tokens=True)


def _cut(texts: pa.ChunkedArray, tokenizer: Tokenizer, room: int) -> Spans:
    ids, offsets = encode(texts, tokenizer)
    full = np.diff(offsets)
    return Spans(ids, offsets[:-1], np.minimum(full, room), full)


def require_writing(column: pa.ChunkedArray, split: str, tokenizer: Tokenizer, what: str) -> None:
    """Refuse a tokenizer that doesn't give back the texts it was given.

    White space may change: SentencePiece, as in T5, makes one space of several and of line breaks.

    Raises:
        DataError: of the first `PROBED_TEXTS` more than `WRITTEN_RATIO` come back as something else.
    """
    texts = column.slice(0, PROBED_TEXTS).to_pylist()
    encoded = tokenizer.encode_batch(texts, add_special_tokens=False)
    written = tokenizer.decode_batch([one.ids for one in encoded], skip_special_tokens=True)
    wrong = [pair for pair in zip(texts, written, strict=True) if pair[0].split() != pair[1].split()]
    if len(wrong) > WRITTEN_RATIO * len(texts):
        raise DataError(
            f"split '{split}': this tokenizer can't write the {what}: of {len(texts)} that were encoded and decoded "
            f"again {len(wrong)} came back as something else, such as {wrong[0][0]!r:.60} as {wrong[0][1]!r:.60}. "
            f"Prepare a corpus with 'tokenizer: bpe', or 'unigram' with byte_fallback"
        )
