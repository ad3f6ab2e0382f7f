"""Decide which documents stand in which batch: a pure function of lengths, seed and epoch, so that nothing is saved.

Shape letters: B batches, N documents.
"""

from __future__ import annotations

import itertools
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from bmtool.data.tokens import narrowest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

#: How many documents may wait for a batch with room. Measured: 99.8 % of the tokens of a batch are real ones.
LOOK_AHEAD = 256

#: So many batches' documents are sorted by length together, as transformers' LengthGroupedSampler does: enough for
#: batches of about one length, few enough for their order to stay random.
SORTED_BATCHES = 50

#: So many batches are worked on at once, where all of them would take arrays over all documents.
BATCHES_AT_ONCE = 128

#: The lengths of so many documents are added up at once, likewise.
ADDED_AT_ONCE = 65536

#: What a random stream is for: two purposes never share numbers.
DATA, DROPOUT, REPLAY = 0, 1, 2


def plan(
    lengths: NDArray[Any],
    seed: int,
    epoch: int,
    batch_tokens: int,
    *,
    phase: int = 0,
    by_length: bool = False,
    rows: NDArray[Any] | None = None,
    groups: NDArray[np.int64] | None = None,
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """A new order of all documents for this epoch, and where batches begin in it.

    First fit with look-ahead: a batch takes the documents of the shuffled order one by one; what doesn't fit waits for
    the next batch, at most `LOOK_AHEAD` documents at a time. Inside a batch long documents come first, so that equal
    lengths are neighbours. One array is held that is as long as the order: it is shuffled, packed and sorted in place.

    Args:
        lengths: (N,) tokens of each document, special tokens included.
        seed: of the run.
        epoch: from 0.
        batch_tokens: how many tokens a batch holds at most.
        phase: of the run, from 0.
        by_length: documents of about equal length share a batch, and the batch's longest times their number is at most
            `batch_tokens`: for models that pad. It is no longer filled first fit.
        rows: which documents, some of them more than once; None: each once. The array becomes the order.
        groups: (N,) documents of different groups never share a batch; None: all may.

    Returns:
        order (N,) and borders (B + 1,): batch b is `order[borders[b]:borders[b + 1]]`.

    Raises:
        ValueError: a document doesn't fit into a batch.
    """
    longest = int(lengths.max(initial=0))
    if longest > batch_tokens:
        raise ValueError(f"a document of {longest} tokens doesn't fit into a batch of {batch_tokens}")
    rng = generator(seed, epoch, 0, phase=phase)
    order = np.arange(len(lengths), dtype=narrowest(len(lengths))) if rows is None else rows
    rng.shuffle(order)
    pack = _pack_by_length if by_length else _pack
    borders = (
        pack(lengths, order, batch_tokens) if groups is None else _apart(pack, lengths, order, groups, batch_tokens)
    )
    if groups is None and not by_length:
        return order, borders
    batches = rng.permutation(len(borders) - 1)  # else those of a group, or the longest, would follow each other
    return _exchanged(order, borders, batches)


def _apart(
    pack: Callable[..., NDArray[np.int64]],
    lengths: NDArray[Any],
    order: NDArray[Any],
    groups: NDArray[np.int64],
    batch_tokens: int,
) -> NDArray[np.int64]:
    """Bring the documents of each group into batches, one group after the other; where they begin."""
    order[:] = order[np.argsort(groups[order], kind="stable")]
    ends = np.flatnonzero(np.diff(groups[order], append=-1)) + 1
    borders = [np.zeros(1, np.int64)]
    for start, end in itertools.pairwise([0, *ends.tolist()]):
        borders.append(start + pack(lengths, order[start:end], batch_tokens)[1:])
    return np.concatenate(borders)


def in_order(
    lengths: NDArray[Any], order: NDArray[Any], batch_tokens: int, *, by_length: bool = False
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """The same for documents in a given order (any selection of them)."""
    own = lengths[order]
    places = np.arange(len(order), dtype=narrowest(len(order)))
    pack = _pack_by_length if by_length else _pack
    borders = pack(own, places, batch_tokens)
    return order[places], borders


def batch_sizes(lengths: NDArray[Any], order: NDArray[Any], borders: NDArray[np.int64]) -> NDArray[np.int64]:
    """(B,) tokens of each batch."""
    sizes = np.empty(len(borders) - 1, np.int64)
    for first, some in _some_batches(borders):
        own = lengths[order[some[0] : some[-1]]]
        sizes[first : first + len(some) - 1] = np.add.reduceat(own, some[:-1] - some[0], dtype=np.int64)
    return sizes


def _some_batches(borders: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """The number of the first of `BATCHES_AT_ONCE` batches, and where they begin and the last of them ends."""
    for first in range(0, len(borders) - 1, BATCHES_AT_ONCE):
        yield first, borders[first : first + BATCHES_AT_ONCE + 1]


def _pack(lengths: NDArray[Any], order: NDArray[Any], batch_tokens: int) -> NDArray[np.int64]:
    """Bring the order into batches, in place; where they begin."""
    longest = int(lengths.max(initial=0))
    narrow = lengths.astype(narrowest(longest, may_be_short=True), copy=False)  # each type is compiled by itself
    borders: NDArray[np.int64] = _first_fit()(narrow, batch_tokens, LOOK_AHEAD, order)
    for _, some in _some_batches(borders):
        part = order[some[0] : some[-1]]
        batch_of = np.repeat(np.arange(len(some) - 1), np.diff(some))
        part[:] = part[np.lexsort((-narrow[part], batch_of))]
    return borders


def _pack_by_length(lengths: NDArray[Any], order: NDArray[Any], batch_tokens: int) -> NDArray[np.int64]:
    """Groups of `SORTED_BATCHES` batches' tokens in the given order, each sorted, longest first, and cut."""
    borders = [0]
    start = 0
    for end in _group_ends(lengths, order, SORTED_BATCHES * batch_tokens):
        part = order[start:end]
        part[:] = part[np.argsort(-lengths[part], kind="stable")]
        while borders[-1] < end:
            borders.append(min(end, borders[-1] + batch_tokens // int(lengths[order[borders[-1]]])))
        start = end
    return np.array(borders, dtype=np.int64)


def _group_ends(lengths: NDArray[Any], order: NDArray[Any], group_tokens: int) -> Iterator[int]:
    """Behind which documents of the order a group of so many tokens ends; the one that goes past it begins the next."""
    before, group = 0, 0
    for start in range(0, len(order), ADDED_AT_ONCE):
        sums = before + np.cumsum(lengths[order[start : start + ADDED_AT_ONCE]], dtype=np.int64)
        groups = (sums - 1) // group_tokens
        yield from (start + np.flatnonzero(np.diff(groups, prepend=group))).tolist()
        before, group = int(sums[-1]), int(groups[-1])
    yield len(order)


def _exchanged(
    order: NDArray[Any], borders: NDArray[np.int64], batches: NDArray[np.int64]
) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """The order and the borders with the batches in another order."""
    ends = np.concatenate([borders[:1], np.cumsum(np.diff(borders)[batches])])
    exchanged = np.empty_like(order)
    for first, some in _some_batches(ends):
        sources = borders[batches[first : first + len(some) - 1]]
        places = np.arange(some[0], some[-1]) + np.repeat(sources - some[:-1], np.diff(some))
        exchanged[some[0] : some[-1]] = order[places]
    return exchanged, ends


def generator(seed: int, epoch: int, batch: int, purpose: int = DATA, *, phase: int = 0) -> np.random.Generator:
    """Random numbers that belong to one batch of a phase: Philox at a place of its own, whatever was drawn before.

    Philox is a counter-based generator (Salmon et al. 2011, "Parallel random numbers: as easy as 1, 2, 3").
    """
    key = np.array([seed, epoch], dtype=np.uint64)
    counter = np.array([0, phase, purpose, batch], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(key=key, counter=counter))


@lru_cache(maxsize=1)
def _first_fit() -> Callable[..., Any]:
    """`_fit`, compiled when it is first needed."""
    from bmtool.data.compiled import nb

    compiled: Callable[..., Any] = nb.njit(cache=True)(_fit)
    return compiled


def _fit(lengths: NDArray[Any], batch_tokens: int, look_ahead: int, order: NDArray[Any]) -> NDArray[np.int64]:
    """What was put into batches and what waits was read before, so that nothing is overwritten that is still needed."""
    total = len(order)
    borders = np.empty(1024, np.int64)
    waiting = np.empty(look_ahead, order.dtype)
    borders[0] = 0
    num_waiting = done = following = batches = 0
    while done < total:
        left = batch_tokens
        still = 0
        for i in range(num_waiting):
            document = waiting[i]
            if lengths[document] <= left:
                left -= lengths[document]
                order[done] = document
                done += 1
            else:
                waiting[still] = document
                still += 1
        num_waiting = still
        while left > 0 and following < total and num_waiting < look_ahead:
            document = order[following]
            if lengths[document] <= left:
                left -= lengths[document]
                order[done] = document
                done += 1
            else:
                waiting[num_waiting] = document
                num_waiting += 1
            following += 1
        batches += 1
        if batches == len(borders):
            borders = np.concatenate((borders, np.empty_like(borders)))
        borders[batches] = done
    return borders[: batches + 1].copy()
