"""How far probabilities are from the truth, squared; sure and wrong costs most, less is better."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bmtool.contracts import Metric

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bmtool.contracts import Columns


class Brier(Metric):
    """The Brier score (Brier 1950), as scikit-learn scales it: in [0, 1] of two labels, in [0, 2] of more.

    Of sets of labels the mean over the labels, in [0, 1]. NaN without any row.
    """

    higher_is_better = False
    reads = ("references", "probabilities")
    judges = ("label", "labels")

    def statistics(self, outputs: Columns, labels: tuple[str, ...]) -> NDArray[np.float64]:
        """(N, 2): the squared distance of the row's probabilities from the truth, and 1."""
        from bmtool.data.scoring.calibration import squared_errors

        del labels
        return squared_errors(outputs)

    def value(self, totals: NDArray[np.float64]) -> NDArray[np.float64]:
        """Their quotient."""
        from bmtool.data.scoring.scores import quotient

        return quotient(totals)
