"""How well predicted numbers lie on a straight line with the true ones: 1 exactly, 0 not at all."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bmtool.contracts import Metric

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bmtool.contracts import Columns


class Pearson(Metric):
    """Pearson's correlation in [-1, 1]; NaN where a side is all equal, as SciPy."""

    judges = ("number",)

    def statistics(self, outputs: Columns, labels: tuple[str, ...]) -> NDArray[np.float64]:
        """(N, 2): reference and prediction of each row."""
        from bmtool.data.scoring.scores import sums

        del labels
        return sums(outputs, "references", "predictions")

    def values(self, statistics: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """The linear correlation."""
        from bmtool.data.scoring.correlation import pearson

        return pearson(statistics, weights)
