"""Pre-split words to token ids, so that each word's tokens are known."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bmtool.data.tokenizing.encode import encode
from bmtool.errors import DataError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from tokenizers import Tokenizer


@dataclass(frozen=True)
class EncodedWords:
    """Token ids of pre-split words. N rows, W words, T tokens."""

    ids: NDArray[Any]
    """(T,)"""
    offsets: NDArray[np.int64]
    """(N + 1,) where each row's tokens start in `ids`"""
    word_starts: NDArray[np.int64]
    """(W,) place of each word's first token within its row's tokens; every word has at least one token"""
    word_offsets: NDArray[np.int64]
    """(N + 1,) where each row's words start in `word_starts`"""


def encode_words(words: pa.Array | pa.ChunkedArray, tokenizer: Tokenizer) -> EncodedWords:
    """Encode rows of words (list<string>), each word by itself, without special tokens and uncut.

    A byte-level tokenizer marks a word's start by the space before it, so each word gets one (transformers'
    `add_prefix_space`). A word that leaves no token, such as a lone control character, gets the unknown token.

    Raises:
        DataError: a word leaves no token and the tokenizer has no unknown token.
    """
    column = words.combine_chunks() if isinstance(words, pa.ChunkedArray) else words
    num_words = pc.list_value_length(column).to_numpy(zero_copy_only=False).astype(np.int64)
    word_offsets = np.concatenate([[0], np.cumsum(num_words)]).astype(np.int64)
    distinct = pc.list_flatten(column).dictionary_encode()
    which = distinct.indices.to_numpy(zero_copy_only=False).astype(np.int64)

    ids, starts, lengths = _encode_distinct(distinct.dictionary, tokenizer)
    lengths_of_words = lengths[which]
    word_starts = np.concatenate([[0], np.cumsum(lengths_of_words)]).astype(np.int64)
    flat = np.repeat(starts[which] - word_starts[:-1], lengths_of_words) + np.arange(word_starts[-1])
    offsets = word_starts[word_offsets]
    inside = word_starts[:-1] - np.repeat(offsets[:-1], num_words)
    return EncodedWords(ids[flat], offsets, inside, word_offsets)


def _encode_distinct(
    words: pa.Array, tokenizer: Tokenizer
) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[np.int64]]:
    """(ids, starts, lengths) of distinct words, each with at least one token."""
    if _is_byte_level(tokenizer):
        words = pc.binary_join_element_wise(" ", words, "")
    ids, offsets = encode(words, tokenizer)
    starts, lengths = offsets[:-1].copy(), np.diff(offsets)
    empty = lengths == 0
    if empty.any():
        unknown = _unknown_id(tokenizer)
        if unknown is None:
            word = words[int(np.flatnonzero(empty)[0])].as_py()
            raise DataError(f"the word {word!r} leaves no token, and this tokenizer has no unknown token")
        starts[empty], lengths[empty] = len(ids), 1
        ids = np.append(ids, np.array([unknown], ids.dtype))
    return ids, starts, lengths


def _is_byte_level(tokenizer: Tokenizer) -> bool:
    return '"ByteLevel"' in json.dumps(json.loads(tokenizer.to_str())["pre_tokenizer"])


def _unknown_id(tokenizer: Tokenizer) -> int | None:
    token = getattr(tokenizer.model, "unk_token", None)
    return None if token is None else tokenizer.token_to_id(token)
