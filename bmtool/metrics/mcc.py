"""The correlation of predicted and true labels: 0 for guessing at random, also where one label is rare."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bmtool.contracts import Metric

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bmtool.contracts import Columns


class Mcc(Metric):
    """Matthews' correlation coefficient in [-1, 1], for any number of labels (Gorodkin 2004, as scikit-learn has it).

    0 where references or predictions are all the same label.
    """

    judges = ("label", "tags")

    def statistics(self, outputs: Columns, labels: tuple[str, ...]) -> NDArray[np.float64]:
        """(N, 3C): right, predicted and true occurrences of each label."""
        from bmtool.data.scoring.label_counts import class_counts

        return class_counts(outputs, len(labels))

    def value(self, totals: NDArray[np.float64]) -> NDArray[np.float64]:
        """The covariance of predicted and true labels over the root of the product of their variances."""
        import numpy as np

        from bmtool.data.scoring.scores import ratio

        right, predicted, true = np.split(totals, 3, axis=-1)
        number = true.sum(axis=-1)
        covariance = right.sum(axis=-1) * number - (predicted * true).sum(axis=-1)
        spread = (number**2 - (predicted**2).sum(axis=-1)) * (number**2 - (true**2).sum(axis=-1))
        return ratio(covariance, np.sqrt(spread))
