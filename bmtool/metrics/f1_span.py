"""F1 over whole spans, such as names: one counts only with the right first word, last word and type."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bmtool.contracts import Metric

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bmtool.contracts import Columns


class F1Span(Metric):
    """Span F1 as conlleval computes it (Tjong Kim Sang and Buchholz 2000), of tags with B-, I-, E- and S- as seqeval.

    M-, L- and U-, of BMES and BILOU, are read as I-, E- and S-.
    """

    judges = ("tags",)

    def statistics(self, outputs: Columns, labels: tuple[str, ...]) -> NDArray[np.float64]:
        """(N, 3): right, predicted and true spans of each row."""
        from bmtool.data.scoring.spans import span_counts

        return span_counts(outputs, labels)

    def value(self, totals: NDArray[np.float64]) -> NDArray[np.float64]:
        """2 right / (predicted + true); 0 where there is no span at all."""
        from bmtool.data.scoring.scores import ratio

        return ratio(2 * totals[..., 0], totals[..., 1] + totals[..., 2])
