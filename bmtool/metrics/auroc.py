"""How surely a text of a label has a higher probability for it than one without it; 0.5 is guessing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bmtool.contracts import Metric

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bmtool.contracts import Columns


class Auroc(Metric):
    """The area under the ROC curve in [0, 1] (Hanley and McNeil 1982); equal probabilities count half.

    Of more than two labels, or of sets of labels, the mean over the labels, each against all others, of those that are
    true of some rows and not of others (scikit-learn gives NaN where there is another). NaN where there is none.
    """

    reads = ("references", "probabilities")
    judges = ("label", "labels")

    def statistics(self, outputs: Columns, labels: tuple[str, ...]) -> NDArray[np.float64]:
        """(N, 2M): whether each label is true of the row, and its probability; M is 1 of two labels, else all."""
        import numpy as np

        from bmtool.data.scoring.label_counts import one_against_rest

        del labels
        return np.concatenate(one_against_rest(outputs), axis=1)

    def values(self, statistics: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """The mean of the labels' areas."""
        from bmtool.data.scoring.curves import macro, roc_areas

        return macro(roc_areas, statistics, weights)
