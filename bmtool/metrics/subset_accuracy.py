"""The share of texts of which all labels are right, where a text may have several."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bmtool.contracts import Metric

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bmtool.contracts import Columns


class SubsetAccuracy(Metric):
    """Exactly right sets of labels over all texts, in [0, 1] (scikit-learn's `accuracy_score`); NaN without any row."""

    judges = ("labels",)

    def statistics(self, outputs: Columns, labels: tuple[str, ...]) -> NDArray[np.float64]:
        """(N, 2): whether the row's set is right, and 1."""
        from bmtool.data.scoring.scores import counted

        del labels
        return counted((outputs["predictions"] == outputs["references"]).all(axis=1))

    def value(self, totals: NDArray[np.float64]) -> NDArray[np.float64]:
        """Their quotient."""
        from bmtool.data.scoring.scores import quotient

        return quotient(totals)
