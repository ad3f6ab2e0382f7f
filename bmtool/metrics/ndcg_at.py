"""How near the top the relevant items are, the first places counting most; 1 is the best order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import PositiveInt

from bmtool.contracts import Metric

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bmtool.contracts import Columns


class NdcgAt(Metric):
    """Normalised discounted cumulative gain of the first `k` in [0, 1] (Järvelin and Kekäläinen 2002), gains of 0 or 1.

    Queries to which nothing is relevant are left out; NaN where none is left.
    """

    reads = ("ranks",)

    k: PositiveInt = 10
    """How many items from the top count."""

    def statistics(self, outputs: Columns, labels: tuple[str, ...]) -> NDArray[np.float64]:
        """(N, 2): the gain of the first `k` of the row, and 1."""
        from bmtool.data.scoring.retrieval import discounted_gain, over_queries

        del labels
        return over_queries(outputs, lambda ranks: discounted_gain(ranks, self.k))

    def value(self, totals: NDArray[np.float64]) -> NDArray[np.float64]:
        """Their quotient."""
        from bmtool.data.scoring.scores import quotient

        return quotient(totals)

    def details(self, outputs: Columns) -> dict[str, str]:
        """How many items count."""
        del outputs
        return {"k": str(self.k)}
