"""Long texts as windows that overlap, so that each token is seen with some of its context, and none is lost.

Shape letters: N texts, M windows, W words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Windows:
    """The windows of N texts, one text after the other, each from left to right. Every text has at least one."""

    rows: Ints
    """(M,) the text of each"""
    starts: Ints
    """(M,) its first token in its text"""
    lengths: Ints
    """(M,) its tokens"""
    full: Ints
    """(N,) tokens of each text"""
    firsts: Ints
    """(N,) the first window of each text"""
    steps: Ints
    """(N,) tokens from the start of a window to that of the next one"""

    @classmethod
    def over(cls, full: Ints, room: Ints, overlap: int) -> Windows:
        """Windows of `room` (N,) tokens, the last one shorter, over texts of `full` (N,) tokens.

        They have `overlap` tokens in common, or half of `room`, if that is less: then none is in more than two.
        """
        steps = np.maximum(room - np.minimum(overlap, room // 2), 1)
        counts = np.where(full <= room, 1, -((room - full) // steps) + 1)
        rows, firsts = np.repeat(np.arange(len(full)), counts), np.cumsum(counts) - counts
        starts = (np.arange(len(rows)) - firsts[rows]) * steps[rows]
        return cls(rows, starts, np.minimum(room[rows], full[rows] - starts), full, firsts, steps)

    def best_for(self, rows: Ints, places: Ints) -> Ints:
        """(W,) the window in which each token has most context: `rows` (W,) their texts, `places` (W,) in the text.

        That is the one where the smaller of the contexts on both sides is the larger one (Devlin et al. 2018, run_squad
        of BERT); where the text begins or ends, nothing is missing. Places that rise give windows that rise.
        """
        counts = np.diff(np.append(self.firsts, len(self.rows)))
        later = self.firsts[rows] + np.minimum(places // self.steps[rows], counts[rows] - 1)
        earlier = np.maximum(later - 1, self.firsts[rows])
        is_earlier = self._context(earlier, places) >= self._context(later, places)
        return np.asarray(np.where(is_earlier, earlier, later))

    def _context(self, windows: Ints, places: Ints) -> Ints:
        """The smaller context of tokens in a window; below 0 for one that isn't in it."""
        starts, ends = self.starts[windows], self.starts[windows] + self.lengths[windows]
        enough = np.iinfo(np.int64).max
        left = np.where((starts == 0) & (places >= starts), enough, places - starts)
        right = np.where((ends == self.full[self.rows[windows]]) & (places < ends), enough, ends - 1 - places)
        return np.asarray(np.minimum(left, right))
