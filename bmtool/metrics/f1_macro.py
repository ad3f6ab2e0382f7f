"""The mean of every label's F1, each label counting the same however rare it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bmtool.contracts import Metric

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bmtool.contracts import Columns


class F1Macro(Metric):
    """The unweighted mean of F1 over labels that occur in references or predictions (scikit-learn's `macro`).

    Of sets of labels likewise, where scikit-learn counts a label that occurs nowhere as 0.
    """

    def statistics(self, outputs: Columns, labels: tuple[str, ...]) -> NDArray[np.float64]:
        """(N, 3C): right, predicted and true occurrences of each label."""
        from bmtool.data.scoring.label_counts import class_counts

        return class_counts(outputs, len(labels))

    def value(self, totals: NDArray[np.float64]) -> NDArray[np.float64]:
        """The mean of 2 right / (predicted + true)."""
        from bmtool.data.scoring.label_counts import mean_over_seen, precision_recall_f1

        return mean_over_seen(precision_recall_f1(totals)[2], totals)
