"""How near the top the first relevant item of each query is: 1 at the top, 1/2 as the second."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bmtool.contracts import Metric

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bmtool.contracts import Columns


class Mrr(Metric):
    """Mean reciprocal rank in (0, 1] (Voorhees 1999), over all candidates.

    Queries to which nothing is relevant are left out; NaN where none is left.
    """

    reads = ("ranks",)

    def statistics(self, outputs: Columns, labels: tuple[str, ...]) -> NDArray[np.float64]:
        """(N, 2): 1 over the rank of the first relevant item, and 1."""
        from bmtool.data.scoring.retrieval import over_queries, reciprocal_rank

        del labels
        return over_queries(outputs, reciprocal_rank)

    def value(self, totals: NDArray[np.float64]) -> NDArray[np.float64]:
        """Their quotient."""
        from bmtool.data.scoring.scores import quotient

        return quotient(totals)
