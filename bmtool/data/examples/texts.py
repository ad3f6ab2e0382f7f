"""Texts, or pairs of them, on their way into a model: encoded, joined, cut where they are too long.

Shape letters: N examples.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bmtool.contracts import Examples
from bmtool.data.tokenizing.encode import encode
from bmtool.data.tokenizing.plain_encoding import special_affixes
from bmtool.data.tokens import InMemoryTokens
from bmtool.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from tokenizers import Tokenizer

    from bmtool.data.dataset import Split

    Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Joint:
    """What the tokenizer's own post-processor puts around two texts: `[CLS] A [SEP] B [SEP]` for BERT."""

    prefix: tuple[int, ...]
    between: tuple[int, ...]
    suffix: tuple[int, ...]
    second_type: int
    """The token type of text B; 0: types don't tell the texts apart."""

    @classmethod
    def of(cls, tokenizer: Tokenizer) -> Joint:
        """What `tokenizer` does.

        Raises:
            DataError: it puts nothing between two texts.
        """
        encoding = tokenizer.encode("a", "a", add_special_tokens=True)
        first = [place for place, owner in enumerate(encoding.sequence_ids) if owner == 0]
        second = [place for place, owner in enumerate(encoding.sequence_ids) if owner == 1]
        between = encoding.ids[first[-1] + 1 : second[0]] if first and second else []
        if not between:
            raise DataError("this tokenizer puts nothing between two texts, so a model couldn't tell them apart")
        ids, types = encoding.ids, encoding.type_ids
        return cls(tuple(ids[: first[0]]), tuple(between), tuple(ids[second[-1] + 1 :]), types[second[0]])


def encoded_texts(
    split: Split, names: list[str], tokenizer: Tokenizer, max_seq_length: int, columns: Mapping[str, Any]
) -> Examples:
    """Encode one or two columns of text; `columns` go along.

    Of what has more than `max_seq_length` tokens, special tokens included, the end is lost (of a pair, of the longer
    text first), and counted as cut. Of pairs the column `second_starts` (N,) says where text B begins, if the model is
    told by token types.

    Raises:
        DataError: there are two texts, and the tokenizer puts nothing between them.
    """
    if len(names) == 1:
        ids, offsets = encode(split.column(names[0]), tokenizer)
        return framed(split, ids, offsets, tokenizer, max_seq_length, dict(columns))
    return _pairs(split, names, tokenizer, max_seq_length, dict(columns))


def framed(
    split: Split,
    ids: NDArray[Any],
    offsets: Ints,
    tokenizer: Tokenizer,
    max_seq_length: int,
    columns: dict[str, Any],
) -> Examples:
    """N texts of the tokens `ids` (borders `offsets`, (N + 1,)) with special tokens around, cut where too long."""
    room = room_of(tokenizer, max_seq_length)
    full = np.diff(offsets)
    lengths = np.minimum(full, room)
    cut = {"texts_cut": int((full > room).sum()), "tokens_cut": int((full - lengths).sum())}
    return framed_spans(split, ids, offsets[:-1], lengths, tokenizer, columns, cut)


def room_of(tokenizer: Tokenizer, max_seq_length: int) -> int:
    """Tokens of one text that a sequence holds beside the special ones."""
    return max_seq_length - sum(map(len, special_affixes(tokenizer)))


def framed_spans(
    split: Split,
    ids: NDArray[Any],
    starts: Ints,
    lengths: Ints,
    tokenizer: Tokenizer,
    columns: dict[str, Any],
    cut: dict[str, int],
) -> Examples:
    """Spans of the tokens `ids`, `starts` and `lengths` (N,), as N documents with special tokens around."""
    prefix, suffix = special_affixes(tokenizer)
    if not prefix and not suffix:
        # A text without any token would be no document at all: it is one special token, put behind all others.
        starts = np.where(lengths == 0, len(ids), starts)
        lengths = np.maximum(lengths, 1)
        ids = np.append(ids, np.asarray([_any_special(tokenizer)], dtype=ids.dtype))
    return Examples(InMemoryTokens(ids), starts, lengths, tuple(prefix), tuple(suffix), columns, split.labels, cut)


def _any_special(tokenizer: Tokenizer) -> int:
    return min((i for i, token in tokenizer.get_added_tokens_decoder().items() if token.special), default=0)


def _pairs(
    split: Split, names: list[str], tokenizer: Tokenizer, max_seq_length: int, columns: dict[str, Any]
) -> Examples:
    joint = Joint.of(tokenizer)
    encoded = [encode(split.column(name), tokenizer) for name in names]
    full = np.stack([np.diff(offsets) for _, offsets in encoded])
    room = max_seq_length - len(joint.prefix) - len(joint.between) - len(joint.suffix)
    kept = fitting(full, room)
    spans = [(ids, offsets[:-1], lengths) for (ids, offsets), lengths in zip(encoded, kept, strict=True)]
    tokens, lengths = joined_spans(spans, joint.between)
    cut = {"texts_cut": int((full > kept).any(axis=0).sum()), "tokens_cut": int((full - kept).sum())}
    if joint.second_type:
        columns["second_starts"] = len(joint.prefix) + kept[0] + len(joint.between)
    starts = np.cumsum(lengths) - lengths
    return Examples(tokens, starts, lengths, joint.prefix, joint.suffix, columns, split.labels, cut)


def fitting(full: Ints, room: int) -> Ints:
    """(2, N) tokens that stay of pairs of texts with `full` (2, N) tokens, as `longest_first` of tokenizers has it.

    The longer text is cut until both are as long, then both are.
    """
    short = np.minimum(full.min(axis=0), room // 2)
    kept = np.where(full[0] <= full[1], np.stack([short, room - short]), np.stack([room - short, short]))
    return np.where(full.sum(axis=0) <= room, full, kept)


def joined_spans(spans: list[tuple[NDArray[Any], Ints, Ints]], between: tuple[int, ...]) -> tuple[InMemoryTokens, Ints]:
    """Rows put together of one span of each of some token arrays, with the tokens `between` them.

    Args:
        spans: for each text of a row all tokens, and (N,) starts and lengths of what is taken.
        between: special tokens that separate two texts.

    Returns:
        The tokens of all rows one after the other, and (N,) how many each row has.
    """
    parts = np.stack([lengths for _, _, lengths in spans], axis=1)
    lengths = parts.sum(axis=1) + len(between) * (len(spans) - 1)
    out = np.empty(int(lengths.sum()), dtype=np.uint32)
    place = np.cumsum(lengths) - lengths
    for index, (ids, starts, own) in enumerate(spans):
        if index:
            for offset, token in enumerate(between):
                out[place + offset] = token
            place = place + len(between)
        inside = np.arange(int(own.sum())) - np.repeat(np.cumsum(own) - own, own)
        out[np.repeat(place, own) + inside] = ids[np.repeat(starts, own) + inside]
        place = place + own
    return InMemoryTokens(out), lengths
