"""How many pairs of neighbouring words a text shares with the right one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bmtool.contracts import Metric

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bmtool.contracts import Columns


class Rouge2(Metric):
    """The mean F1 of pairs of words, in [0, 1] (Lin 2004), the best right text of each row counting.

    It equals rouge-score without stemming on ASCII text; words of all other scripts count, too, and in Chinese and
    Japanese characters (`bmtool.data.scoring.rouge`). NaN without any row.
    """

    judges = ("target",)

    def statistics(self, outputs: Columns, labels: tuple[str, ...]) -> NDArray[np.float64]:
        """(N, 2): the F1 of the row, and 1."""
        from functools import partial

        from bmtool.data.scoring.rouge import best_overlap, shared_runs

        del labels
        return best_overlap(outputs, partial(shared_runs, 2))

    def value(self, totals: NDArray[np.float64]) -> NDArray[np.float64]:
        """Their quotient."""
        from bmtool.data.scoring.scores import quotient

        return quotient(totals)
