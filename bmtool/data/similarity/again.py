"""Compare rows again after some came or went: only where one of these shares a band, with the same result as from none.

What is found for a row depends on the rows in its bands alone, in their order. So a row none of whose bands holds a row
that came, went, or began or ceased to count, is in the same pairs as before. The others are compared anew, with
all rows of all their bands.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bmtool.data.similarity.candidates import Compared, compared, most_pairs
from bmtool.data.similarity.touched import Chosen, rows_touched, touched_by

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bmtool.data.similarity.bands import Sketches
    from bmtool.data.similarity.touched import Touched

#: With more rows to be compared again than this, or than a quarter, all are compared: it takes 224 bytes a row to hold
#: their sketches, and some 700 to look their bands up.
_MOST_ROWS = 1 << 17


@dataclass(frozen=True)
class Moved:
    """Where the M rows of an earlier run are now, in the same order."""

    place: NDArray[np.int64]
    """(M,) the number of each; -1: it is gone."""
    gone: Sketches
    """Of the rows that are gone."""

    def touched(self, sketches: Sketches, was: NDArray[np.bool_], now: NDArray[np.bool_]) -> Touched | None:
        """The bands of all rows that counted (M,) and don't any more, or that count now (N,) and didn't.

        None: there are too many of them.
        """
        changed, lost = self.changed(was, now)
        if len(changed) + len(lost) > most_rows(sketches):
            return None
        return touched_by(np.concatenate([sketches.rows(changed), self.gone.rows(lost)]))

    def changed(self, was: NDArray[np.bool_], now: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """The rows (by their numbers now) that count now or did, not both; and those of `gone` that did."""
        stays = self.place >= 0
        before = np.zeros(len(now), np.bool_)
        before[self.place[stays]] = was[stays]
        return np.flatnonzero(before != now), np.flatnonzero(was[~stays])


def most_rows(sketches: Sketches) -> int:
    """So many rows are compared again rather than all."""
    return min(_MOST_ROWS, len(sketches) // 4)


@dataclass(frozen=True)
class ComparedBefore:
    """What an earlier run found."""

    moved: Moved
    alive: NDArray[np.bool_]
    """(M,) the rows that counted then."""
    pairs: Compared
    """By their numbers then."""
    similarity: NDArray[np.float32]
    """(P,) of each pair; measured on the texts where the sketches left it open."""

    def similarities(self, pairs: Compared) -> NDArray[np.float32]:
        """The similarity of each of these pairs; NaN for one that wasn't there before."""
        place = self.moved.place
        first, second = place[self.pairs.first], place[self.pairs.second]
        stays = np.flatnonzero((first >= 0) & (second >= 0))
        found = np.full(len(pairs.first), np.nan, np.float32)
        if len(stays):
            known = _packed(first[stays], second[stays])  # ascending: rows stay in order
            asked = _packed(pairs.first, pairs.second)
            where = np.minimum(np.searchsorted(known, asked), len(known) - 1)
            is_known = known[where] == asked
            found[is_known] = self.similarity[stays[where[is_known]]]
        return found


def _packed(first: NDArray[np.integer], second: NDArray[np.integer]) -> NDArray[np.int64]:
    return first.astype(np.int64) << 32 | second.astype(np.int64)


def compared_again(
    before: ComparedBefore, sketches: Sketches, *, at_least: int, clearly: int, alive: NDArray[np.bool_]
) -> Compared | None:
    """What `compared` would find; None where all rows are to be compared for it."""
    came_or_went = before.moved.touched(sketches, before.alive, alive)
    if came_or_went is None:
        return None
    rows = rows_touched(sketches, came_or_went)
    is_touched = np.zeros(len(sketches), np.bool_)
    is_touched[rows] = True
    rows = rows[alive[rows]]
    if len(rows) > most_rows(sketches):
        return None
    theirs = touched_by(sketches.rows(rows))
    # Whatever shares a band with one that came is among `rows`; what is left to look for are few rows' bands.
    others = np.setdiff1d(rows, before.moved.changed(before.alive, alive)[0], assume_unique=True)
    around = rows_touched(sketches, touched_by(sketches.rows(others))) if len(others) else others
    around = np.union1d(rows, around[alive[around]])
    if len(around) > most_rows(sketches):
        return None
    found = compared(Chosen(sketches.rows(around), theirs), at_least=at_least, clearly=clearly)
    if len(found.first) > most_pairs(len(around)):
        return None
    first, second = around[found.first], around[found.second]
    new = is_touched[second]
    place = before.moved.place
    old_first, old_second = place[before.pairs.first], place[before.pairs.second]
    # A pair whose earlier row is gone is none of these: its later row shares a band with that one.
    stays = np.flatnonzero(old_second >= 0)
    stays = stays[~is_touched[old_second[stays]]]
    if int(new.sum()) + len(stays) > most_pairs(len(sketches)):
        return None
    first, second = np.concatenate([first[new], old_first[stays]]), np.concatenate([second[new], old_second[stays]])
    order = np.argsort(_packed(first, second))
    matches = np.concatenate([found.matches[new], before.pairs.matches[stays]])
    return Compared(first[order].astype(np.int32), second[order].astype(np.int32), matches[order])
