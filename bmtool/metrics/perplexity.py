"""How many tokens the model hesitates between: e to the mean loss per target; less is better."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bmtool.contracts import Metric

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bmtool.contracts import Columns


class Perplexity(Metric):
    """exp(nats per target) (Jelinek et al. 1977), as torchmetrics' `perplexity`; it depends on the tokenizer."""

    higher_is_better = False
    reads = ("nll", "targets")

    def statistics(self, outputs: Columns, labels: tuple[str, ...]) -> NDArray[np.float64]:
        """(N, 2): negative log-likelihood and number of targets of each row."""
        from bmtool.data.scoring.scores import sums

        del labels
        return sums(outputs, "nll", "targets")

    def value(self, totals: NDArray[np.float64]) -> NDArray[np.float64]:
        """e to the power of their quotient; NaN without any target."""
        import numpy as np

        from bmtool.data.scoring.scores import quotient

        return np.asarray(np.exp(quotient(totals)))
