"""The share of target tokens that the model ranks first: masked ones, or each next one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bmtool.contracts import Metric

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bmtool.contracts import Columns


class MaskedAccuracy(Metric):
    """Hits over targets, in [0, 1]: the `masked_lm_accuracy` of BERT's run_pretraining.py (Devlin et al. 2019)."""

    reads = ("hits", "targets")

    def statistics(self, outputs: Columns, labels: tuple[str, ...]) -> NDArray[np.float64]:
        """(N, 2): hits and number of targets of each row."""
        from bmtool.data.scoring.scores import sums

        del labels
        return sums(outputs, "hits", "targets")

    def value(self, totals: NDArray[np.float64]) -> NDArray[np.float64]:
        """Their quotient; NaN without any target."""
        from bmtool.data.scoring.scores import quotient

        return quotient(totals)
