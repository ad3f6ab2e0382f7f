"""Decide which documents stand in which batch: a pure function of lengths, seed and epoch, so that nothing is saved.

Shape letters: B batches, N documents.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from bmtool.data.tokens import narrowest

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

#: How many documents may wait for a batch with room. Measured: 99.8 % of the tokens of a batch are real ones.
LOOK_AHEAD = 256

#: So many batches' documents are sorted by length together, as transformers' LengthGroupedSampler does: enough for
#: batches of about one length, few enough for their order to stay random.
SORTED_BATCHES = 50

#: The documents of so many batches are put in order inside them at once: an array over all of them is spared.
SORTED_AT_ONCE = 512

#: What a random stream is for: two purposes never share numbers.
DATA, DROPOUT, REPLAY = 0, 1, 2


def plan(
    lengths: NDArray[np.int64],
    seed: int,
    epoch: int,
    batch_tokens: int,
    *,
    phase: int = 0,
    by_length: bool = False,
    groups: NDArray[np.int64] | None = None,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """A new order of all documents for this epoch, and where batches begin in it.

    First fit with look-ahead: a batch takes the documents of the shuffled order one by one; what doesn't fit waits for
    the next batch, at most `LOOK_AHEAD` documents at a time. Inside a batch long documents come first, so that equal
    lengths are neighbours.

    Args:
        lengths: (N,) tokens of each document, special tokens included.
        seed: of the run.
        epoch: from 0.
        batch_tokens: how many tokens a batch holds at most.
        phase: of the run, from 0.
        by_length: documents of about equal length share a batch, and the batch's longest times their number is at most
            `batch_tokens`: for models that pad. It is no longer filled first fit.
        groups: (N,) documents of different groups never share a batch; None: all may.

    Returns:
        order (N,) and borders (B + 1,): batch b is `order[borders[b]:borders[b + 1]]`.

    Raises:
        ValueError: a document doesn't fit into a batch.
    """
    if len(lengths) and int(lengths.max()) > batch_tokens:
        raise ValueError(f"a document of {int(lengths.max())} tokens doesn't fit into a batch of {batch_tokens}")
    rng = generator(seed, epoch, 0, phase=phase)
    shuffled = rng.permutation(np.arange(len(lengths), dtype=narrowest(len(lengths))))
    if groups is None:
        order, borders = in_order(lengths, shuffled, batch_tokens, by_length=by_length)
    else:
        order, borders = _apart(lengths, shuffled, groups, batch_tokens, by_length=by_length)
    if groups is None and not by_length:
        return order, borders
    batches = rng.permutation(len(borders) - 1)  # else those of a group, or the longest, would follow each other
    sizes = np.diff(borders)[batches]
    ends = np.cumsum(sizes)
    places = np.arange(len(order)) + np.repeat(borders[batches] - (ends - sizes), sizes)
    return order[places], np.concatenate([borders[:1], ends])


def _apart(
    lengths: NDArray[np.int64],
    order: NDArray[np.int64],
    groups: NDArray[np.int64],
    batch_tokens: int,
    *,
    by_length: bool,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The batches of each group, one group after the other."""
    orders, borders = [], [np.zeros(1, np.int64)]
    for group in np.unique(groups):
        own, ends = in_order(lengths, order[groups[order] == group], batch_tokens, by_length=by_length)
        orders.append(own)
        borders.append(borders[-1][-1] + ends[1:])
    return np.concatenate(orders), np.concatenate(borders)


def in_order(
    lengths: NDArray[np.int64], order: NDArray[np.int64], batch_tokens: int, *, by_length: bool = False
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The same for documents in a given order (any selection of them)."""
    if by_length:
        return _by_length(lengths, order, batch_tokens)
    ordered = np.ascontiguousarray(lengths[order], dtype=np.int32)  # none is longer than a batch
    places = np.empty(len(ordered), narrowest(len(ordered)))
    borders = _first_fit()(ordered, batch_tokens, LOOK_AHEAD, places)
    for first in range(0, len(borders) - 1, SORTED_AT_ONCE):
        some = borders[first : first + SORTED_AT_ONCE + 1]
        part = places[some[0] : some[-1]]
        batch_of = np.repeat(np.arange(len(some) - 1), np.diff(some))
        part[:] = part[np.lexsort((-ordered[part], batch_of))]
    return order[places], borders


def _by_length(
    lengths: NDArray[np.int64], order: NDArray[np.int64], batch_tokens: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Groups of `SORTED_BATCHES` batches' tokens in the given order, each sorted, longest first, and cut."""
    group_of = (np.cumsum(lengths[order]) - 1) // (SORTED_BATCHES * batch_tokens)
    order = order[np.lexsort((-lengths[order], group_of))]
    borders = [0]
    for end in np.flatnonzero(np.diff(group_of, append=-1)) + 1:
        while borders[-1] < end:
            borders.append(min(int(end), borders[-1] + batch_tokens // int(lengths[order[borders[-1]]])))
    return order, np.array(borders, dtype=np.int64)


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


def _fit(lengths: NDArray[np.int32], batch_tokens: int, look_ahead: int, places: NDArray[Any]) -> NDArray[np.int64]:
    total = len(lengths)
    borders = np.empty(total + 1, np.int64)
    waiting = np.empty(look_ahead, np.int64)
    borders[0] = 0
    num_waiting = done = following = batches = 0
    while done < total:
        left = batch_tokens
        still = 0
        for i in range(num_waiting):
            document = waiting[i]
            if lengths[document] <= left:
                left -= lengths[document]
                places[done] = document
                done += 1
            else:
                waiting[still] = document
                still += 1
        num_waiting = still
        while left > 0 and following < total and num_waiting < look_ahead:
            if lengths[following] <= left:
                left -= lengths[following]
                places[done] = following
                done += 1
            else:
                waiting[num_waiting] = following
                num_waiting += 1
            following += 1
        batches += 1
        borders[batches] = done
    return borders[: batches + 1].copy()
