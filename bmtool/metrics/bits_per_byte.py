"""Bits the model needs for a byte of text, comparable across tokenizers; less is better."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bmtool.contracts import Metric

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bmtool.contracts import Columns


class BitsPerByte(Metric):
    """Negative log-likelihood in bits, over the bytes of the text it was summed for (Gao et al. 2020, section 3.1).

    It equals lm-evaluation-harness's `bits_per_byte` where texts are scored as a whole.
    """

    higher_is_better = False
    reads = ("nll", "bytes")

    def statistics(self, outputs: Columns, labels: tuple[str, ...]) -> NDArray[np.float64]:
        """(N, 2): negative log-likelihood in nats and bytes of text of each row."""
        from bmtool.data.scoring.scores import sums

        del labels
        return sums(outputs, "nll", "bytes")

    def value(self, totals: NDArray[np.float64]) -> NDArray[np.float64]:
        """nats / (bytes ln 2); NaN without any byte."""
        import math

        from bmtool.data.scoring.scores import quotient

        return quotient(totals) / math.log(2)
