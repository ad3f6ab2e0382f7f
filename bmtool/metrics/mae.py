"""How far predicted numbers are from the true ones on average, in their unit; less is better."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bmtool.contracts import Metric

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bmtool.contracts import Columns


class Mae(Metric):
    """The mean absolute error, 0 or more (scikit-learn's `mean_absolute_error`); NaN without any row."""

    higher_is_better = False
    judges = ("number",)

    def statistics(self, outputs: Columns, labels: tuple[str, ...]) -> NDArray[np.float64]:
        """(N, 2): the absolute error of each row, and 1."""
        from bmtool.data.scoring.scores import counted

        del labels
        return counted(abs(outputs["predictions"] - outputs["references"]))

    def value(self, totals: NDArray[np.float64]) -> NDArray[np.float64]:
        """Their quotient."""
        from bmtool.data.scoring.scores import quotient

        return quotient(totals)
