"""How many runs of up to six characters a text shares with the right one; it needs no words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bmtool.contracts import Metric

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bmtool.contracts import Columns


class Chrf(Metric):
    """chrF2 in [0, 100] (Popović 2015), as sacreBLEU computes it, for all scripts; 0 where nothing is shared."""

    perfect = 100.0
    judges = ("target",)

    def statistics(self, outputs: Columns, labels: tuple[str, ...]) -> NDArray[np.float64]:
        """(N, 18): of runs of 1 to 6 characters how many are in the text, in the right one, and in both."""
        from bmtool.data.scoring.text_scores import chrf_counts, right_texts

        del labels
        return chrf_counts(outputs["predictions"], right_texts(outputs))

    def value(self, totals: NDArray[np.float64]) -> NDArray[np.float64]:
        """F2 of mean precision and mean recall."""
        from bmtool.data.scoring.text_scores import chrf

        return chrf(totals)

    def details(self, outputs: Columns) -> dict[str, str]:
        """sacreBLEU's signature."""
        from bmtool.data.scoring.text_scores import chrf_signature, right_texts

        return {"signature": chrf_signature(right_texts(outputs))}
