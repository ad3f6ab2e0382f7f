"""The share of right labels: of texts, or of words for a task that labels words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bmtool.contracts import Metric

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bmtool.contracts import Columns


class Accuracy(Metric):
    """Right labels over all labels, in [0, 1] (scikit-learn's `accuracy_score`); 0 without any."""

    judges = ("label", "tags")

    def statistics(self, outputs: Columns, labels: tuple[str, ...]) -> NDArray[np.float64]:
        """(N, 2): right labels and labels of each row."""
        import numpy as np

        from bmtool.data.scoring.label_counts import flat_labels

        del labels
        references, predictions, rows = flat_labels(outputs)
        num_rows = len(outputs["references"])
        right = np.bincount(rows, weights=references == predictions, minlength=num_rows)
        return np.stack([right, np.bincount(rows, minlength=num_rows)], axis=1).astype(np.float64)

    def value(self, totals: NDArray[np.float64]) -> NDArray[np.float64]:
        """Right over all."""
        from bmtool.data.scoring.scores import ratio

        return ratio(totals[..., 0], totals[..., 1])
