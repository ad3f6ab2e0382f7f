"""Text to token ids by `tokenizers` itself: what everything faster is compared with."""

from __future__ import annotations

from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from tokenizers import Tokenizer

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Texts handed to `tokenizers` at once: enough for its threads, little enough to hold the Python lists it returns.
TEXTS_AT_ONCE = 4096


def ids_dtype(vocab_size: int) -> type[np.uint16 | np.uint32]:
    """uint16 if every id of a vocabulary of that size fits, else uint32."""
    return np.uint16 if vocab_size <= 65_536 else np.uint32


def encode_plain(
    texts: pa.Array | pa.ChunkedArray, tokenizer: Tokenizer, dtype: type[np.uint16 | np.uint32]
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """(ids (T,), offsets (N + 1,)) by `tokenizers` itself."""
    ids, lengths = [np.zeros(0, dtype)], [np.zeros(1, np.int64)]
    for start in range(0, len(texts), TEXTS_AT_ONCE):
        plain = texts.slice(start, TEXTS_AT_ONCE).to_pylist()
        lists = [encoding.ids for encoding in tokenizer.encode_batch_fast(plain, add_special_tokens=False)]
        lengths.append(np.fromiter(map(len, lists), np.int64, len(lists)))
        ids.append(np.fromiter(chain.from_iterable(lists), dtype, int(lengths[-1].sum())))
    return np.concatenate(ids), np.cumsum(np.concatenate(lengths))


def encode_with_places(
    texts: pa.Array | pa.ChunkedArray, tokenizer: Tokenizer
) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[np.int32]]:
    """What `encode` gives, and (T, 2) where each token stands in its text, from and to, in characters.

    A text that occurs more than once is encoded once. A token that is a part of a character stands for all of it.
    """
    column = texts.combine_chunks() if isinstance(texts, pa.ChunkedArray) else texts
    distinct = column.dictionary_encode()
    tokenizer, dtype = uncut(tokenizer), ids_dtype(tokenizer.get_vocab_size())
    ids, places, lengths = [np.zeros(0, dtype)], [np.zeros((0, 2), np.int32)], [np.zeros(0, np.int64)]
    for start in range(0, len(distinct.dictionary), TEXTS_AT_ONCE):
        plain = distinct.dictionary.slice(start, TEXTS_AT_ONCE).to_pylist()
        for encoding in tokenizer.encode_batch(plain, add_special_tokens=False):
            ids.append(np.asarray(encoding.ids, dtype))
            places.append(np.asarray(encoding.offsets, np.int32).reshape(-1, 2))
            lengths.append(np.asarray([len(encoding.ids)]))
    which = distinct.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    of_distinct = np.concatenate(lengths)
    own = of_distinct[which]
    borders = np.concatenate([[0], np.cumsum(own)]).astype(np.int64)
    first = (np.cumsum(of_distinct) - of_distinct)[which]
    flat = np.repeat(first - borders[:-1], own) + np.arange(borders[-1])
    return np.concatenate(ids)[flat], borders, np.concatenate(places)[flat]


def uncut(tokenizer: Tokenizer) -> Tokenizer:
    """The tokenizer, or a copy that neither cuts nor pads."""
    if tokenizer.truncation is None and tokenizer.padding is None:
        return tokenizer
    copy = Tokenizer.from_str(tokenizer.to_str())
    copy.no_truncation()
    copy.no_padding()
    return copy


def special_affixes(tokenizer: Tokenizer) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """What the tokenizer's own post-processor puts before and behind one text, such as ([CLS],) and ([SEP],)."""
    encoding = tokenizer.encode("a", add_special_tokens=True)
    inner = [index for index, special in enumerate(encoding.special_tokens_mask) if not special]
    if not inner:
        return tuple(encoding.ids), ()
    return tuple(encoding.ids[: inner[0]]), tuple(encoding.ids[inner[-1] + 1 :])
