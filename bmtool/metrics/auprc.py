"""How pure the texts with the highest probabilities of a label are; guessing gives the share of the label."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bmtool.contracts import Metric

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bmtool.contracts import Columns


class Auprc(Metric):
    """Average precision in (0, 1], the area under the curve of precision and recall, as scikit-learn computes it.

    Of two labels the second in the task's order is looked for. Of more, or of sets of labels, it is the mean over the
    labels that are true of some row (scikit-learn counts others as 0). NaN where there is none.
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
        from bmtool.data.scoring.curves import macro, precision_areas

        return macro(precision_areas, statistics, weights)
