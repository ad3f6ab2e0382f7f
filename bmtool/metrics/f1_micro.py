"""F1 over all decisions together; with one label for each text it equals accuracy."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bmtool.contracts import Metric

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bmtool.contracts import Columns


class F1Micro(Metric):
    """F1 of the summed counts of all labels (scikit-learn's `micro`)."""

    def statistics(self, outputs: Columns, labels: tuple[str, ...]) -> NDArray[np.float64]:
        """(N, 3): right, predicted and true labels of each row."""
        import numpy as np

        from bmtool.data.scoring.label_counts import class_counts

        counts = class_counts(outputs, len(labels))
        return np.asarray(counts.reshape(len(counts), 3, len(labels)).sum(axis=-1))

    def value(self, totals: NDArray[np.float64]) -> NDArray[np.float64]:
        """2 right / (predicted + true)."""
        from bmtool.data.scoring.scores import ratio

        return ratio(2 * totals[..., 0], totals[..., 1] + totals[..., 2])
