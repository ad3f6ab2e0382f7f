"""The mean negative log-likelihood of the right answers, in nats; less is better."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bmtool.contracts import Metric

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bmtool.contracts import Columns


class Loss(Metric):
    """Nats per target: the cross-entropy, of labels scikit-learn's `log_loss` (Bishop 2006, equation 4.108)."""

    higher_is_better = False
    reads = ("nll", "targets")

    def statistics(self, outputs: Columns, labels: tuple[str, ...]) -> NDArray[np.float64]:
        """(N, 2): negative log-likelihood and number of targets of each row."""
        from bmtool.data.scoring.scores import sums

        del labels
        return sums(outputs, "nll", "targets")

    def value(self, totals: NDArray[np.float64]) -> NDArray[np.float64]:
        """Their quotient; NaN without any target."""
        from bmtool.data.scoring.scores import quotient

        return quotient(totals)
