"""Batches of spoiled texts and what a model is to write about them: the whole text, or what was left out.

Each text becomes `prefix source suffix start prefix target suffix`, as in `bmtool.data.examples.targets`. How long
source and target are is a function of the text's length, so that batches are planned before anything is drawn. Shape
letters: K spans, L tokens of a text, N texts, P target positions.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bmtool.data.examples.noise import (
    noise_counts,
    replaced_spans,
    sentence_ends_of,
    shuffled_sentences,
    spans_apart,
    spans_of_poisson,
)
from bmtool.data.examples.targets import Frame, require_writing
from bmtool.data.tokenizing.tokenizers import SENTINEL
from bmtool.data.tokens import InMemoryTokens, narrowest
from bmtool.errors import MissingInputError
from bmtool.models.families.batches import pack, with_types, with_written
from bmtool.models.goals.language import MASK_TOKENS, MEASURING_SEED, pieces

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from tokenizers import Tokenizer

    from bmtool.contracts import Batch, Examples
    from bmtool.data.dataset import Split

#: From a text's tokens (L,) and random numbers to a source and a target.
Spoil = Callable[["NDArray[Any]", np.random.Generator], tuple["NDArray[Any]", "NDArray[Any]"]]


def spoilt_pieces(split: Split, tokenizer: Tokenizer, max_seq_length: int) -> Examples:
    """Pieces of documents, which are to be written too: neither source nor target is longer than `max_seq_length`.

    Raises:
        DataError: the tokenizer can't write, or has no token for the end of a text; or there is no room for text.
    """
    frame = Frame.of(tokenizer)
    require_writing(split.column("text"), split.name, tokenizer, "texts")
    whole = pieces(split, tokenizer, max_seq_length, affixes=(frame.prefix, frame.suffix))
    return replace(whole, end=frame.end)


def _with_lengths(examples: Examples, extra: NDArray[np.int64]) -> Examples:
    """The examples with `tokens_in_batch`: of each text source and target have `extra` (N,) tokens besides its own."""
    around = 2 * (len(examples.prefix) + len(examples.suffix)) + 1
    taken = examples.lengths + extra + around
    taken = taken.astype(narrowest(int(taken.max(initial=0)), may_be_short=True))
    return replace(examples, columns={**examples.columns, "tokens_in_batch": taken})


# ---------------------------------------------------------------- spans left out


def corruptible(examples: Examples, tokenizer: Tokenizer, ratio: float, mean_length: float, least: int) -> Examples:
    """Pieces whose spans can be left out, with the sentinels that the longest one needs, and `least` of them.

    Raises:
        MissingInputError: the tokenizer has fewer.
    """
    _, counts = noise_counts(examples.lengths, ratio, mean_length)
    needed = max(least, int(counts.max(initial=1)))
    wanted = [SENTINEL.format(number) for number in range(needed)]
    sentinels = {name: token for name in wanted if (token := tokenizer.token_to_id(name)) is not None}
    if len(sentinels) < needed:
        raise MissingInputError(
            f"objective span_corruption needs {needed} tokens that stand for what is left out of the longest text, "
            f"and the tokenizer has {len(sentinels)} of them ({wanted[0]} and so on). Prepare the corpus "
            f"with tokenizer: {{type: unigram, sentinels: {max(100, needed)}}} (or bpe), or lower max_seq_length"
        )
    return _with_lengths(replace(examples, special_ids={**examples.special_ids, **sentinels}), 2 * counts)


def left_out(examples: Examples, ratio: float, mean_length: float) -> Spoil:
    """The text with a sentinel for each span that is left out; and each sentinel with its span."""

    def spoil(tokens: NDArray[Any], rng: np.random.Generator) -> tuple[NDArray[Any], NDArray[Any]]:
        hidden, count = (int(number) for number in noise_counts(len(tokens), ratio, mean_length))
        sentinels = [examples.special_ids[SENTINEL.format(number)] for number in range(count)]
        return replaced_spans(tokens, spans_apart(len(tokens), hidden, count, rng), sentinels)

    return spoil


# ---------------------------------------------------------------- texts to be mended


def mendable(examples: Examples, tokenizer: Tokenizer, ratio: float, mean_length: float) -> Examples:
    """Pieces that can be spoilt and are to be written whole.

    Raises:
        MissingInputError: the tokenizer has no mask token.
    """
    if not any(token in examples.special_ids for token in MASK_TOKENS):
        raise MissingInputError(
            f"the tokenizer has no mask token ({' or '.join(MASK_TOKENS)}), which objective denoising needs. Prepare "
            f"the corpus with tokenizer: {{type: bpe, mask: true}}, or with 'tokenizer: unigram'"
        )
    hidden, counts = noise_counts(examples.lengths, ratio, mean_length)
    whole = _with_lengths(examples, examples.lengths - hidden + counts)
    return replace(whole, sentence_ends=sentence_ends_of(tokenizer))


def mended(examples: Examples, ratio: float, mean_length: float, moved_ratio: float) -> Spoil:
    """The text with sentences moved and a mask for each span that is left out; and the text as it was."""
    mask = next(examples.special_ids[token] for token in MASK_TOKENS if token in examples.special_ids)

    def spoil(tokens: NDArray[Any], rng: np.random.Generator) -> tuple[NDArray[Any], NDArray[Any]]:
        hidden, count = (int(number) for number in noise_counts(len(tokens), ratio, mean_length))
        moved = shuffled_sentences(tokens, examples.sentence_ends, moved_ratio, rng)
        spans = spans_of_poisson(len(tokens), hidden, count, rng)
        return replaced_spans(moved, spans, [mask] * count)[0], tokens

    return spoil


# ---------------------------------------------------------------- both


def spoilt_batch(
    examples: Examples, rows: NDArray[np.int64], spoil: Spoil, term: str, rng: np.random.Generator | None
) -> Batch:
    """Spoil and pack pieces, sources as token type 0 and targets as 1; the loss `term` counts the targets' tokens.

    Without `rng` what is drawn depends on the piece alone, not on the batch it is in.
    """
    lengths = examples.lengths[rows]
    tokens = np.split(examples.tokens.gather(examples.starts[rows], lengths), np.cumsum(lengths)[:-1])
    pairs = [spoil(own, _fixed(row) if rng is None else rng) for row, own in zip(rows.tolist(), tokens, strict=True)]
    between = np.array([*examples.suffix, examples.end, *examples.prefix], np.int64)
    joined = [np.concatenate([source, between, target]) for source, target in pairs]
    totals = np.array([len(ids) for ids in joined], np.int64)
    own = replace(
        examples,
        tokens=InMemoryTokens(np.concatenate([between[:0], *joined])),
        starts=np.cumsum(totals) - totals,
        lengths=totals,
        columns={},
    )
    seconds = np.array([len(source) for source, _ in pairs], np.int64) + len(examples.prefix) + len(examples.suffix)
    batch = with_types(pack(own, np.arange(len(rows))), seconds)
    return replace(with_written(batch, term), rows=rows)


def _fixed(row: int) -> np.random.Generator:
    return np.random.Generator(np.random.Philox(key=np.array([MEASURING_SEED, row], dtype=np.uint64)))
