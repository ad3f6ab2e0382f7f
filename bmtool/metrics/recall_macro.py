"""The mean of every label's recall: of what is so, how much was found."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bmtool.contracts import Metric

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bmtool.contracts import Columns


class RecallMacro(Metric):
    """The unweighted mean of recall over labels that occur in references or predictions (scikit-learn's `macro`).

    Sokolova and Lapalme 2009, table 3; a label that is true of no row has 0.
    Of sets of labels likewise, where scikit-learn counts a label that occurs nowhere as 0.
    """

    def statistics(self, outputs: Columns, labels: tuple[str, ...]) -> NDArray[np.float64]:
        """(N, 3C): right, predicted and true occurrences of each label."""
        from bmtool.data.scoring.label_counts import class_counts

        return class_counts(outputs, len(labels))

    def value(self, totals: NDArray[np.float64]) -> NDArray[np.float64]:
        """The mean of right / true."""
        from bmtool.data.scoring.label_counts import mean_over_seen, precision_recall_f1

        return mean_over_seen(precision_recall_f1(totals)[1], totals)
