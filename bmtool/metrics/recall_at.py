"""How much of what is relevant is among the first items."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import PositiveInt

from bmtool.contracts import Metric

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bmtool.contracts import Columns


class RecallAt(Metric):
    """The share of the relevant items that are among the first `k`, in [0, 1], averaged over queries.

    Manning, Raghavan and Schütze 2008, section 8.4; as trec_eval's `recall_10` and torchmetrics' `retrieval_recall`.

    Queries to which nothing is relevant are left out; NaN where none is left.
    """

    reads = ("ranks",)

    k: PositiveInt = 10
    """How many items from the top count."""

    def statistics(self, outputs: Columns, labels: tuple[str, ...]) -> NDArray[np.float64]:
        """(N, 2): the share that was found of the row, and 1."""
        from bmtool.data.scoring.retrieval import found_ratio, over_queries

        del labels
        return over_queries(outputs, lambda ranks: found_ratio(ranks, self.k))

    def value(self, totals: NDArray[np.float64]) -> NDArray[np.float64]:
        """Their quotient."""
        from bmtool.data.scoring.scores import quotient

        return quotient(totals)

    def details(self, outputs: Columns) -> dict[str, str]:
        """How many items count."""
        del outputs
        return {"k": str(self.k)}
