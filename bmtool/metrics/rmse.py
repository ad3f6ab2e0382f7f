"""How far predicted numbers are from the true ones, large errors counting more; in their unit, less is better."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bmtool.contracts import Metric

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bmtool.contracts import Columns


class Rmse(Metric):
    """The root of the mean squared error, 0 or more (scikit-learn's `root_mean_squared_error`); NaN without any row."""

    higher_is_better = False
    judges = ("number",)

    def statistics(self, outputs: Columns, labels: tuple[str, ...]) -> NDArray[np.float64]:
        """(N, 2): the squared error of each row, and 1."""
        from bmtool.data.scoring.scores import counted

        del labels
        return counted((outputs["predictions"] - outputs["references"]) ** 2)

    def value(self, totals: NDArray[np.float64]) -> NDArray[np.float64]:
        """The root of their quotient."""
        import numpy as np

        from bmtool.data.scoring.scores import quotient

        return np.asarray(np.sqrt(quotient(totals)))
