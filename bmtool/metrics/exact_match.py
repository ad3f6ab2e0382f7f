"""The share of answers that are exactly one of the right ones, but for case, punctuation and articles."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bmtool.contracts import Metric

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bmtool.contracts import Columns


class ExactMatch(Metric):
    """The exact match of SQuAD in [0, 1] (Rajpurkar et al. 2016, section 6.1); NaN without any row.

    A row without a right answer is right with an empty one, as in SQuAD 2.0 (Rajpurkar et al. 2018). It equals that
    benchmark's script (which counts in percent); Chinese and Japanese besides (`bmtool.data.scoring.short_answers`).
    """

    judges = ("target",)

    def statistics(self, outputs: Columns, labels: tuple[str, ...]) -> NDArray[np.float64]:
        """(N, 2): the row's score, and 1."""
        from bmtool.data.scoring.short_answers import best_match, is_same

        del labels
        return best_match(outputs, is_same)

    def value(self, totals: NDArray[np.float64]) -> NDArray[np.float64]:
        """Their quotient."""
        from bmtool.data.scoring.scores import quotient

        return quotient(totals)
