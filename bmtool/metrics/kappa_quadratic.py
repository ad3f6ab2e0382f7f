"""Agreement of grades beyond chance, where being off by two costs four times as much as by one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bmtool.contracts import Metric

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bmtool.contracts import Columns


class KappaQuadratic(Metric):
    """Cohen's kappa with quadratic weights in [-1, 1] (Cohen 1968), the measure of essay grading.

    Grades are whole numbers: predicted numbers are rounded, labels written as whole numbers stand for these, and other
    labels are graded in the task's order. It equals scikit-learn's `cohen_kappa_score(weights="quadratic")` where
    every grade of the scale is in `labels` there. NaN where all references and predictions are one grade.
    """

    judges = ("label", "number")

    def statistics(self, outputs: Columns, labels: tuple[str, ...]) -> NDArray[np.float64]:
        """(N, 6): squared error, both grades, their squares, and 1."""
        import numpy as np

        from bmtool.data.scoring.label_counts import grades

        true, predicted = grades(outputs, labels).T
        ones = np.ones(len(true))
        return np.stack([(true - predicted) ** 2, true, predicted, true**2, predicted**2, ones], axis=1)

    def value(self, totals: NDArray[np.float64]) -> NDArray[np.float64]:
        """1 minus the observed mean squared difference over that of pairs drawn at random, from moments."""
        import numpy as np

        from bmtool.data.scoring.scores import quotient

        observed, true, predicted, true_squares, predicted_squares, number = np.moveaxis(totals, -1, 0)
        by_chance = number * (true_squares + predicted_squares) - 2 * true * predicted
        return 1 - quotient(np.stack([number * observed, by_chance], axis=-1))
