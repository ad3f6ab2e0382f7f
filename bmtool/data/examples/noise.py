"""Spoil a text so that a model can learn to mend it: leave spans out, and move sentences.

Shape letters: K spans, L tokens of a text, M sentences, N texts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray
    from tokenizers import Tokenizer

#: What the text of a token ends with that ends a sentence.
FULL_STOPS = (".", "!", "?", "\u3002", "\uff01", "\uff1f", "\uff61", "\u0964", "\u061f")


class Spans(NamedTuple):
    """Stretches of a text that don't overlap, in order."""

    starts: NDArray[np.int64]
    """(K,)"""
    lengths: NDArray[np.int64]
    """(K,), which may be 0"""


def noise_counts(lengths: ArrayLike, ratio: float, mean_length: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For texts of `lengths` (N,) tokens: how many tokens are left out, (N,), and in how many spans, (N,).

    At least one of each; at least one token stays, unless there is but one. Both are as in T5's
    `random_spans_noise_mask` (https://github.com/google-research/text-to-text-transfer-transformer), so that the length
    of what becomes of a text is known before anything is drawn.
    """
    total = np.asarray(lengths, np.int64)
    share = np.rint(total.astype(np.float32) * np.float32(ratio))  # T5's precision: it decides where a half is met
    hidden = np.clip(share, 1, np.maximum(total - 1, 1)).astype(np.int64)
    most = np.maximum(np.minimum(hidden, total - hidden), 1)
    return hidden, np.clip(np.rint(hidden / mean_length), 1, most).astype(np.int64)


def spans_apart(length: int, hidden: int, count: int, rng: np.random.Generator) -> Spans:
    """Spans of at least one token each with at least one between them; all ways to lay them out are as likely.

    What is left out and what stays are each cut at random into parts that take turns, as in T5's
    `random_spans_noise_mask`. There the last span is always at the end of the text, so that of short texts, with one
    span, nothing else would ever be left out; here there may be nothing before the first and behind the last one.
    """
    gone = _parts(hidden, count, rng)
    kept = _parts(length - hidden + 2, count + 1, rng)[:-1]  # with one more on either end
    return Spans(np.cumsum(kept) - 1 + np.cumsum(gone) - gone, gone)


def _parts(total: int, count: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """`total` as a sum of `count` numbers from 1 on, all such sums as likely; (count,)."""
    if count == 1:
        return np.array([total])
    borders = 1 + np.sort(rng.choice(total - 1, count - 1, replace=False, shuffle=False))
    return np.diff(borders, prepend=0, append=total)


def spans_of_poisson(length: int, hidden: int, count: int, rng: np.random.Generator) -> Spans:
    """Spans whose lengths are as if drawn from one Poisson distribution, given that they sum up to `hidden`.

    That is a multinomial distribution with equal chances, whatever the Poisson's mean. No two spans begin at one place
    or follow each other at once; one of length 0 is a place where nothing is left out (Lewis et al. 2020, section 2.2).
    """
    lengths = rng.multinomial(hidden, np.full(count, 1 / count))
    gaps = np.sort(rng.choice(length - hidden + 1, count, replace=False, shuffle=False))
    return Spans(gaps + np.cumsum(lengths) - lengths, lengths)


def replaced_spans(
    tokens: NDArray[Any], spans: Spans, fillers: Sequence[int]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The text with a filler in each span's place, and each filler with its span; together they have L + 2 K tokens."""
    is_hidden = np.zeros(len(tokens), dtype=bool)
    for start, length in zip(spans.starts, spans.lengths, strict=True):
        is_hidden[start : start + length] = True
    both = np.insert(tokens.astype(np.int64), spans.starts, fillers)
    is_kept, is_left_out = (np.insert(wanted, spans.starts, values=True) for wanted in (~is_hidden, is_hidden))
    return both[is_kept], both[is_left_out]


def shuffled_sentences(
    tokens: NDArray[Any], sentence_ends: Sequence[int], ratio: float, rng: np.random.Generator
) -> NDArray[Any]:
    """The text with a share of its sentences in each other's places; of several full stops in a row the last ends one.

    Source: BART's `permute_sentences` (https://github.com/facebookresearch/fairseq, denoising_dataset.py).
    """
    is_end = np.isin(tokens, sentence_ends)
    ends = np.flatnonzero(is_end[:-1] & ~is_end[1:]) + 1
    sentences = np.split(tokens, ends)
    count = int(np.ceil(ratio * len(sentences)))
    if count < 2:
        return tokens
    order = np.arange(len(sentences))
    moved = np.sort(rng.choice(len(sentences), count, replace=False, shuffle=False))
    order[moved] = rng.permutation(moved)
    return np.concatenate([sentences[place] for place in order])


def sentence_ends_of(tokenizer: Tokenizer) -> tuple[int, ...]:
    """Tokens whose text ends with a full stop, a question mark and the like."""
    texts = tokenizer.decode_batch([[token] for token in range(tokenizer.get_vocab_size())], skip_special_tokens=False)
    return tuple(token for token, text in enumerate(texts) if text.rstrip().endswith(FULL_STOPS))
