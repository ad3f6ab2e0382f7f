"""Text to token ids: whole batches in, flat arrays out."""

from __future__ import annotations

import json
from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bmtool.data.tokenizers import load_tokenizer
from bmtool.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from tokenizers import Tokenizer

#: Texts handed to `tokenizers` at once: enough for its threads, little enough to hold the Python lists it returns.
TEXTS_AT_ONCE = 4096


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


def ids_dtype(vocab_size: int) -> type[np.uint16 | np.uint32]:
    """uint16 if every id of a vocabulary of that size fits, else uint32."""
    return np.uint16 if vocab_size <= 65_536 else np.uint32


def encode(texts: pa.Array | pa.ChunkedArray, tokenizer: Tokenizer) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """(ids (T,), offsets (N + 1,)) of N texts, without special tokens and uncut; ids as `ids_dtype` says."""
    dtype = ids_dtype(tokenizer.get_vocab_size())
    ids, lengths = [np.zeros(0, dtype)], [np.zeros(1, np.int64)]
    for start in range(0, len(texts), TEXTS_AT_ONCE):
        plain = texts.slice(start, TEXTS_AT_ONCE).to_pylist()
        some_ids, some_lengths = _encode_plain(plain, tokenizer, dtype)
        ids.append(some_ids)
        lengths.append(some_lengths)
    return np.concatenate(ids), np.cumsum(np.concatenate(lengths))


def _encode_plain(
    texts: Sequence[str], tokenizer: Tokenizer, dtype: type[np.uint16 | np.uint32]
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """(ids, lengths). The one place that calls `tokenizers`: a memo of segments belongs here."""
    lists = [encoding.ids for encoding in tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)]
    lengths = np.fromiter(map(len, lists), np.int64, len(lists))
    return np.fromiter(chain.from_iterable(lists), dtype, int(lengths.sum())), lengths


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


def special_affixes(tokenizer: Tokenizer) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """What the tokenizer's own post-processor puts before and behind one text, such as ([CLS],) and ([SEP],)."""
    encoding = tokenizer.encode("a", add_special_tokens=True)
    inner = [index for index, special in enumerate(encoding.special_tokens_mask) if not special]
    if not inner:
        return tuple(encoding.ids), ()
    return tuple(encoding.ids[: inner[0]]), tuple(encoding.ids[inner[-1] + 1 :])


__all__ = ["EncodedWords", "encode", "encode_words", "ids_dtype", "load_tokenizer", "special_affixes"]
