"""How many words an answer shares with the right one; characters in scripts without spaces."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bmtool.contracts import Metric

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from bmtool.contracts import Columns


class F1Answer(Metric):
    """The F1 of SQuAD in [0, 1], the best right answer of each row counting; NaN without any row.

    A row without a right answer is right with an empty one, as in SQuAD 2.0 (Rajpurkar et al. 2018). It equals that
    benchmark's script (which counts in percent); Chinese and Japanese besides (`bmtool.data.scoring.short_answers`).
    """

    judges = ("target",)

    def statistics(self, outputs: Columns, labels: tuple[str, ...]) -> NDArray[np.float64]:
        """(N, 2): the row's score, and 1."""
        from bmtool.data.scoring.short_answers import best_match, shared_tokens

        del labels
        return best_match(outputs, shared_tokens)

    def value(self, totals: NDArray[np.float64]) -> NDArray[np.float64]:
        """Their quotient."""
        from bmtool.data.scoring.scores import quotient

        return quotient(totals)
