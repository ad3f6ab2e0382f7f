"""The share of wrong decisions, yes or no to each label, where a text may have several; less is better."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bmtool.contracts import Metric

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bmtool.contracts import Columns


class HammingLoss(Metric):
    """Wrong decisions over all decisions, in [0, 1] (scikit-learn's `hamming_loss`); NaN without any row."""

    higher_is_better = False
    judges = ("labels",)

    def statistics(self, outputs: Columns, labels: tuple[str, ...]) -> NDArray[np.float64]:
        """(N, 2): the share of wrong decisions of the row, and 1."""
        from bmtool.data.scoring.scores import counted

        del labels
        return counted((outputs["predictions"] != outputs["references"]).mean(axis=1))

    def value(self, totals: NDArray[np.float64]) -> NDArray[np.float64]:
        """Their quotient."""
        from bmtool.data.scoring.scores import quotient

        return quotient(totals)
