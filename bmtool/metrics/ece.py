"""How far the probability of predicted labels is from how often they are right; less is better."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bmtool.contracts import Metric

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bmtool.contracts import Columns


class Ece(Metric):
    """Expected calibration error in [0, 1]: top label, 15 bins of equal width (Guo et al. 2017, section 2).

    Of sets of labels each yes and no counts, with its probability. NaN without any row. By chance confidence and
    rightness differ in each bin, so that few rows make the number too large; rows drawn anew differ once more, so that
    its interval lies too high for a model that is nearly calibrated.
    """

    higher_is_better = False
    reads = ("references", "predictions", "probabilities")
    judges = ("label", "labels")

    def statistics(self, outputs: Columns, labels: tuple[str, ...]) -> NDArray[np.float64]:
        """(N, 16): confidence minus rightness by bin of confidence, and the number of decisions."""
        from bmtool.data.scoring.calibration import bin_gaps

        del labels
        return bin_gaps(outputs)

    def value(self, totals: NDArray[np.float64]) -> NDArray[np.float64]:
        """The sum of the bins' absolute differences over all decisions."""
        import numpy as np

        from bmtool.data.scoring.scores import quotient

        return quotient(np.stack([np.abs(totals[..., :-1]).sum(axis=-1), totals[..., -1]], axis=-1))
