"""Near-duplicates: find pairs of similar texts, keep the first of each, see whom a cut between splits would part.

Similar means: the Jaccard similarity of the two sets of word 5-grams is at least a threshold. It is estimated from
sketches, and where three standard errors of the estimate leave open on which side of the threshold a pair is, it is
measured on the texts.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bmtool.data.compiled import nb
from bmtool.data.similarity.again import compared_again
from bmtool.data.similarity.bands import Sketches
from bmtool.data.similarity.candidates import Compared, compared
from bmtool.data.similarity.fingerprints import VALUES
from bmtool.data.similarity.shingle_sets import exact_similarity

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    from bmtool.data.similarity.again import ComparedBefore
    from bmtool.data.similarity.bands import Unit

    Texts = Callable[[NDArray[np.int64]], pa.Array]


@dataclass(frozen=True)
class Pairs:
    """P pairs of similar rows, each once, ascending by (first, second)."""

    first: NDArray[np.int64]
    """(P,) the earlier row of each pair in reading order."""
    second: NDArray[np.int64]
    similarity: NDArray[np.float32]
    """(P,) at least the threshold."""
    is_exact: NDArray[np.bool_]
    """(P,) whether the similarity was measured on the texts; else it is the estimate."""

    def __len__(self) -> int:
        return len(self.first)


def matches_in_doubt(threshold: float) -> tuple[int, int]:
    """(least, clear): with fewer equal values than `least` a pair isn't similar, with `clear` or more it is.

    Both are three standard errors of the estimate, sqrt(t (1 - t) / 112), from the threshold t. At t = 1, whose
    error is 0, nothing is clear: of pairs with J = 0.98 one in ten has 112 equal values.
    """
    margin = 3 * np.sqrt(threshold * (1 - threshold) / VALUES)
    clear = VALUES + 1 if threshold == 1 else int(np.ceil((threshold + margin) * VALUES))
    return int(np.floor((threshold - margin) * VALUES)), clear


@dataclass(frozen=True)
class Measured:
    """All pairs that were compared, similar or not."""

    pairs: Compared
    similarity: NDArray[np.float32]
    """(P,) the estimate; measured on the texts where that is in doubt."""
    clear: int
    """With fewer equal values it is in doubt."""

    def similar(self, threshold: float) -> Pairs:
        """Those that are similar."""
        is_pair = self.similarity >= np.float32(threshold)
        first, second = self.pairs.first[is_pair].astype(np.int64), self.pairs.second[is_pair].astype(np.int64)
        return Pairs(first, second, self.similarity[is_pair], self.pairs.matches[is_pair] < self.clear)


def find_pairs(
    units: Sequence[Unit],
    texts: Texts,
    *,
    threshold: float = 0.7,
    alive: NDArray[np.bool_] | None = None,
    settled: int = 0,
) -> Pairs:
    """Pairs of similar rows among all `units` in reading order, as `measure_pairs` finds them."""
    return measure_pairs(units, texts, threshold=threshold, alive=alive, settled=settled).similar(threshold)


@dataclass(frozen=True)
class Candidates:
    """Pairs of rows that may be similar. What is in doubt of them may be measured in parts, side by side."""

    pairs: Compared
    similarity: NDArray[np.float32]
    """(P,) the estimate; where an earlier run measured the texts, what it found."""
    clear: int
    """As in `Measured`."""
    doubtful: NDArray[np.int64]
    """(D,) which pairs are in doubt; those of a cluster stand together, so that few texts are asked for twice."""

    def in_doubt(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """(first (D,), second (D,)): the pairs to be measured on the texts, by `exact_similarity`."""
        return self.pairs.first[self.doubtful], self.pairs.second[self.doubtful]

    def measured(self, exact: NDArray[np.float32]) -> Measured:
        """All pairs, with the similarities (D,) of those in doubt."""
        similarity = self.similarity.copy()
        similarity[self.doubtful] = exact
        return Measured(self.pairs, similarity, self.clear)


def measure_pairs(
    units: Sequence[Unit],
    texts: Texts,
    *,
    threshold: float = 0.7,
    alive: NDArray[np.bool_] | None = None,
    settled: int = 0,
    before: ComparedBefore | None = None,
) -> Measured:
    """The pairs of `find_candidates`, and how similar they are.

    `texts` gives the texts (string) of at most 512 ascending rows, in their order.
    """
    found = find_candidates(units, threshold=threshold, alive=alive, settled=settled, before=before)
    return found.measured(exact_similarity(*found.in_doubt(), texts, threshold=threshold))


def find_candidates(
    units: Sequence[Unit],
    *,
    threshold: float,
    alive: NDArray[np.bool_] | None = None,
    settled: int = 0,
    before: ComparedBefore | None = None,
) -> Candidates:
    """Pairs of rows that may be similar, among all `units` in reading order.

    Not every pair: of many texts that are similar to each other, each is paired with an early one
    (`candidates.compared`). A pair with J = 0.8 is found with probability 0.987, with 0.85 with 0.999.

    Args:
        units: The sketches of consecutive rows.
        threshold: From which similarity two rows are a pair, above 0 and at most 1.
        alive: (N,) rows that count; the others are in no pair. None: all do.
        settled: How many rows at the start come from an earlier dataset: they aren't paired among themselves.
        before: What an earlier run found at the same threshold, with nothing settled; it changes nothing but the time.
    """
    if not 0 < threshold <= 1:
        raise ValueError(f"threshold must be above 0 and at most 1, not {threshold}")
    least, clear = matches_in_doubt(threshold)
    clearly = min(clear, VALUES)
    sketches = Sketches(units)
    candidates = None
    if before is not None and alive is not None and not settled:
        candidates = compared_again(before, sketches, at_least=least, clearly=clearly, alive=alive)
    if candidates is None:
        candidates = compared(sketches, at_least=least, clearly=clearly, alive=alive, settled=settled)
    similarity = (candidates.matches / VALUES).astype(np.float32)
    in_doubt = candidates.matches < clear
    if before is not None:
        known = before.similarities(candidates)
        is_known = ~np.isnan(known)
        similarity[is_known] = known[is_known]
        in_doubt &= ~is_known
    doubtful = np.flatnonzero(in_doubt)
    label = clusters(len(sketches), candidates)[candidates.first[doubtful]]
    return Candidates(candidates, similarity, clear, doubtful[np.argsort(label, kind="stable")])


@dataclass(frozen=True)
class Kept:
    """What became of N rows."""

    twin: NDArray[np.int64]
    """(N,) the kept row that the row goes for: the most similar one, the first of equals; -1: it stays."""
    similarity: NDArray[np.float32]
    """(N,) how similar the two are; NaN for rows that stay."""


@nb.njit(nogil=True, cache=True)
def _keep_first(first, second, similarity, settled, twin, twin_similarity):  # type: ignore[no-untyped-def]
    """Pairs ascend by (second, first), so that all that is said of earlier rows is known."""
    for pair in range(len(first)):
        row, other = second[pair], first[pair]
        if row < settled or twin[other] >= 0:
            continue
        if twin[row] < 0 or similarity[pair] > twin_similarity[row]:
            twin[row] = other
            twin_similarity[row] = similarity[pair]


def keep_first(rows: int, pairs: Pairs, *, settled: int = 0) -> Kept:
    """Keep rows greedily in reading order: a row goes only if it is similar to an earlier row that stays.

    So each row that goes has a kept twin, and no two kept rows are one of `pairs`; except that the first `settled`
    rows, of an earlier dataset, all stay.
    """
    twin = np.full(rows, -1, np.int64)
    similarity = np.full(rows, np.nan, np.float32)
    order = np.lexsort((pairs.first, pairs.second))
    _keep_first(pairs.first[order], pairs.second[order], pairs.similarity[order], settled, twin, similarity)
    return Kept(twin, similarity)


@nb.njit(nogil=True, cache=True)
def _join(first, second, parent):  # type: ignore[no-untyped-def]
    """Union by the smaller row, with path halving."""
    for pair in range(len(first)):
        a, b = first[pair], second[pair]
        while parent[a] != a:
            parent[a] = parent[parent[a]]
            a = parent[a]
        while parent[b] != b:
            parent[b] = parent[parent[b]]
            b = parent[b]
        parent[max(a, b)] = min(a, b)
    for row in range(len(parent)):  # a parent is never behind its child
        parent[row] = parent[parent[row]]


def clusters(rows: int, pairs: Pairs | Compared) -> NDArray[np.int64]:
    """(N,) the first row of each row's cluster: rows are in one if a chain of pairs leads from one to the other."""
    parent = np.arange(rows)
    _join(pairs.first, pairs.second, parent)
    return parent
