"""Learn the pieces of a Unigram tokenizer: start with many substrings, drop those that the texts miss least.

Kudo 2018, "Subword Regularization", section 3.2, with the constants of SentencePiece (unigram_model_trainer.cc). The
trainer of `tokenizers` 0.23 isn't used: it adds up floating-point numbers in the order of a hash map, so that two runs
give two vocabularies, and took 27 s for 1.5 MB of text.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bmtool.data.segments.trie import build_trie
from bmtool.data.tokenizing.unigram_kernels import LEAST, MAX_PIECE_CHARS, MAX_WORD_CHARS, best_cuts, expect

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

#: Stands for the space before a word, and is in front of every word here.
SPACE_MARK = "▁"

#: Share of pieces kept by each round of pruning, rounds of EM before it: SentencePiece's defaults.
SHRINK = 0.75
EM_ROUNDS = 2

#: Substrings to start from, for each piece wanted; SentencePiece takes a million whatever is wanted.
SEEDS_PER_PIECE = 16
MAX_SEEDS = 1_000_000

#: Different words to learn from, the most frequent ones. The rest of a large text are names and numbers seen once.
MAX_WORDS = 300_000


@dataclass(frozen=True)
class Words:
    """W different words, without characters that get no piece."""

    text: NDArray[np.uint8]
    """UTF-8, one behind the other"""
    offsets: NDArray[np.int64]
    """(W + 1,)"""
    counts: NDArray[np.float64]
    """(W,) how often each occurs"""


def learn_pieces(counts: Mapping[str, int], num_pieces: int, *, max_alphabet: int) -> list[tuple[str, float]]:
    """At most `num_pieces` pieces with their log probabilities, likeliest first, from words and how often they occur.

    Every word has SPACE_MARK in front. The `max_alphabet` most frequent characters are pieces themselves; others get
    none. The result is a function of `counts` alone.
    """
    alphabet = _alphabet(counts, max_alphabet)
    if len(counts) > MAX_WORDS:
        frequent = sorted(counts, key=lambda word: (-counts[word], word))[:MAX_WORDS]
        counts = {word: counts[word] for word in frequent}
    parts = sorted(_parts(counts, set(alphabet)).items())
    if not parts:
        return [(character, LEAST) for character in alphabet]
    words = _words(parts)
    pieces, frequencies = _seeds(parts, alphabet, min(SEEDS_PER_PIECE * num_pieces, MAX_SEEDS))
    num_fixed = len(alphabet)
    scores = np.log(np.maximum(frequencies, 0.5) / frequencies.sum())
    wanted = max(num_pieces, num_fixed)
    while True:
        for _ in range(EM_ROUNDS):
            pieces, scores = _maximise(pieces, _expected(pieces, scores, words), num_fixed)
        if len(pieces) <= wanted * 1.1:
            break
        kept = _prune(pieces, scores, words, num_fixed, max(int(wanted * 1.1), int(SHRINK * len(pieces))))
        if len(kept) == len(pieces):
            break
        pieces, scores = [pieces[index] for index in kept], scores[kept]
    order = sorted(range(num_fixed, len(pieces)), key=lambda index: (-scores[index], pieces[index]))
    final = [*range(num_fixed), *order[: wanted - num_fixed]]
    return sorted(((pieces[index], float(scores[index])) for index in final), key=lambda piece: (-piece[1], piece[0]))


def _alphabet(counts: Mapping[str, int], most: int) -> list[str]:
    """The most frequent characters; SPACE_MARK is one, since every word has it."""
    characters: Counter[str] = Counter()
    for word, count in counts.items():
        for character in word:
            characters[character] += count
    ranked = sorted(characters, key=lambda one: (one != SPACE_MARK, -characters[one], one))
    return ranked[: max(most, 1)]


def _parts(counts: Mapping[str, int], alphabet: set[str]) -> Counter[str]:
    """Words cut where a character has no piece, and where they are too long."""
    parts: Counter[str] = Counter()
    for word, count in counts.items():
        known = word if alphabet.issuperset(word) else "".join(one if one in alphabet else "\n" for one in word)
        for part in known.split("\n"):
            for start in range(0, len(part), MAX_WORD_CHARS):
                parts[part[start : start + MAX_WORD_CHARS]] += count
    return parts


def _words(parts: Sequence[tuple[str, int]]) -> Words:
    encoded = [part.encode() for part, _ in parts]
    offsets = np.cumsum([0, *map(len, encoded)], dtype=np.int64)
    counts = np.array([count for _, count in parts], np.float64)
    return Words(np.frombuffer(b"".join(encoded), np.uint8), offsets, counts)


def _seeds(
    parts: Sequence[tuple[str, int]], alphabet: Sequence[str], most: int
) -> tuple[list[str], NDArray[np.float64]]:
    """(pieces, frequencies): the alphabet, then repeated substrings by frequency times length.

    The substrings of n + 1 characters at each place come from those of n: what isn't repeated can't be so with one
    more. One that is always followed by the same character is left out for the longer one, as a suffix tree does.
    """
    text = "\n".join(part for part, _ in parts) + "\n"
    codes = np.frombuffer(text.encode("utf-32-le"), np.uint32)
    weights = np.repeat(np.array([count for _, count in parts], np.float64), [len(part) + 1 for part, _ in parts])
    number = {ord(character): index for index, character in enumerate(alphabet)}
    distinct, inverse = np.unique(codes, return_inverse=True)
    ids = np.array([number.get(int(code), -1) for code in distinct], np.int32)[inverse]
    known = ids >= 0
    frequencies = np.bincount(ids[known], weights[known], len(alphabet))
    firsts: list[NDArray[np.int64]] = []
    sizes: list[NDArray[np.int64]] = []
    numbers: list[NDArray[np.float64]] = []
    pending: tuple[NDArray[np.int64], NDArray[np.float64]] | None = None
    for size in range(2, MAX_PIECE_CHARS + 2):
        first, frequency, longer = _one_longer(ids, weights)
        if pending is not None:
            most_followed = np.zeros(len(pending[0]))
            np.maximum.at(most_followed, ids[first], frequency)
            chosen = most_followed < pending[1]
            firsts.append(pending[0][chosen])
            numbers.append(pending[1][chosen])
            sizes.append(np.full(int(chosen.sum()), size - 1))
        if not len(first):
            break
        pending, ids = (first, frequency), longer
    place, length, count = (np.concatenate([np.zeros(0, np.int64), *some]) for some in (firsts, sizes, numbers))
    best = np.lexsort((place, -count * length))[:most]
    ends = (place + length)[best].tolist()
    substrings = [text[start:end] for start, end in zip(place[best].tolist(), ends, strict=True)]
    return [*alphabet, *substrings], np.concatenate([frequencies, count[best]])


def _one_longer(
    ids: NDArray[np.int32], weights: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int32]]:
    """(first place, frequency) of each repeated substring of one more character, and its number at each place or -1.

    `ids` numbers the substrings that start at each place; two of them that overlap in all but one character make one.
    """
    both = np.flatnonzero((ids[:-1] >= 0) & (ids[1:] >= 0)).astype(np.int32)
    keys = ids[both].astype(np.int64) * (int(ids.max()) + 1) + ids[both + 1]
    first: NDArray[np.int64]
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    frequency = np.bincount(inverse, weights[both], len(first)).astype(np.float64)
    repeated = frequency >= 2
    numbers = np.where(repeated, np.cumsum(repeated) - 1, -1).astype(np.int32)
    longer = np.full(len(ids), -1, np.int32)
    longer[both] = numbers[inverse]
    return both[first[repeated]].astype(np.int64), frequency[repeated], longer


def _trie(pieces: Sequence[str]) -> tuple[Any, Any, Any]:
    trie = build_trie([piece.encode() for piece in pieces], range(len(pieces)), [0] * len(pieces), 1)
    return trie.keys, trie.children, trie.accepts


def _expected(pieces: Sequence[str], scores: NDArray[np.float64], words: Words) -> NDArray[np.float64]:
    expected = np.zeros(len(pieces))
    expect(words.text, words.offsets, words.counts, np.exp(scores), *_trie(pieces), expected)
    return expected


def _maximise(
    pieces: list[str], expected: NDArray[np.float64], num_fixed: int
) -> tuple[list[str], NDArray[np.float64]]:
    """Pieces used at least half a time, the fixed ones in any case; digamma makes rare ones rarer (SentencePiece)."""
    kept = np.flatnonzero((expected >= 0.5) | (np.arange(len(pieces)) < num_fixed))
    expected = np.maximum(expected[kept], 0.5)
    scores = np.maximum(_digamma(expected) - _digamma(expected.sum()), LEAST)
    return [pieces[index] for index in kept], scores


def _digamma(x: Any) -> Any:
    """The derivative of log gamma: up by its recurrence, then its asymptotic series (Abramowitz and Stegun, 6.3.18)."""
    below = sum(1 / (x + step) for step in range(6))
    square = 1 / (x + 6) ** 2
    return np.log(x + 6) - 0.5 / (x + 6) - square * (1 / 12 - square * (1 / 120 - square / 252)) - below


def _prune(
    pieces: list[str], scores: NDArray[np.float64], words: Words, num_fixed: int, most: int
) -> NDArray[np.int64]:
    """The pieces to keep, in their order: the fixed ones, then those without which the texts would be less likely.

    The loss of one: what its occurrences lose in likelihood when they are written by the next best pieces.
    """
    trie = _trie(pieces)
    used = np.zeros(len(pieces))
    nothing = np.zeros((len(words.counts), 0), np.int64)
    best_cuts(words.text, words.offsets, words.counts, scores, *trie, True, used, np.zeros(len(words.counts)), nothing)
    own = _words([(piece, 0) for piece in pieces])
    others = np.empty(len(pieces))
    instead = np.full((len(pieces), MAX_PIECE_CHARS), -1, np.int64)
    best_cuts(own.text, own.offsets, own.counts, scores, *trie, False, np.zeros(len(pieces)), others, instead)
    num_instead = (instead >= 0).sum(axis=1)
    total = used.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        each = np.where(instead >= 0, np.log(used[instead] + used[:, None]), 0.0).sum(axis=1)
        without = each - num_instead * np.log(total + used * (num_instead - 1))
        loss = used * (np.log(used / total) - without)
    fixed = np.arange(len(pieces)) < num_fixed
    needed = ~fixed & (used > 0) & (scores >= others)
    candidates = np.flatnonzero(needed)
    best = candidates[np.lexsort((candidates, -loss[candidates]))][: max(most - num_fixed, 0)]
    return np.sort(np.concatenate([np.flatnonzero(fixed), best]))
