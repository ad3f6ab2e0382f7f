"""How well predicted numbers are in the order of the true ones: 1 the same order, -1 the opposite."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bmtool.contracts import Metric

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bmtool.contracts import Columns


class Spearman(Metric):
    """Spearman's correlation of ranks in [-1, 1], ties at their mean rank; NaN where a side is all equal, as SciPy."""

    judges = ("number",)

    def statistics(self, outputs: Columns, labels: tuple[str, ...]) -> NDArray[np.float64]:
        """(N, 2): reference and prediction of each row."""
        from bmtool.data.scoring.scores import sums

        del labels
        return sums(outputs, "references", "predictions")

    def values(self, statistics: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """The linear correlation of the ranks within the drawn rows."""
        from bmtool.data.scoring.correlation import spearman

        return spearman(statistics, weights)
