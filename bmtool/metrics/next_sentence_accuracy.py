"""The share of pairs of texts of which the model says rightly whether the second one follows the first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bmtool.contracts import Metric

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bmtool.contracts import Columns


class NextSentenceAccuracy(Metric):
    """Right answers over pairs, in [0, 1] (Devlin et al. 2019, section 3.1); a guess is right in half of them."""

    reads = ("pair_hits", "pairs")

    def statistics(self, outputs: Columns, labels: tuple[str, ...]) -> NDArray[np.float64]:
        """(N, 2): right answers and number of pairs of each row."""
        from bmtool.data.scoring.scores import sums

        del labels
        return sums(outputs, "pair_hits", "pairs")

    def value(self, totals: NDArray[np.float64]) -> NDArray[np.float64]:
        """Their quotient; NaN without any pair."""
        from bmtool.data.scoring.scores import quotient

        return quotient(totals)
