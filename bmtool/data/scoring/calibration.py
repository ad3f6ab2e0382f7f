"""Whether probabilities mean what they say: how far off they are, and in which direction.

Shape letters: N rows, C labels, M decisions a row.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bmtool.data.scoring.label_counts import confidences, one_against_rest
from bmtool.data.scoring.scores import answer_kind, counted

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bmtool.contracts import Columns

    Floats = NDArray[np.float64]

#: Bins of equal width, as in Guo et al. 2017, section 5.
BINS = 15


def squared_errors(outputs: Columns) -> Floats:
    """(N, 2): the squared distance of a row's probabilities from the truth, and 1 (Brier 1950).

    Over all labels, as he has it; of two labels the second alone, as scikit-learn has it; the mean over the labels
    where a row has a set of them.
    """
    true, probabilities = one_against_rest(outputs)
    errors = (probabilities - true) ** 2
    return counted(errors.mean(axis=1) if answer_kind(outputs) == "labels" else errors.sum(axis=1))


def bin_gaps(outputs: Columns) -> Floats:
    """(N, BINS + 1): confidence minus rightness of a row's decisions, in the bin of the confidence; and how many."""
    confidence, right = confidences(outputs)
    num_rows, num_decisions = confidence.shape
    bins = np.clip(np.ceil(confidence * BINS).astype(np.int64) - 1, 0, BINS - 1)  # a bin holds its upper end
    gaps = np.zeros((num_rows, BINS + 1))
    np.add.at(gaps, (np.arange(num_rows)[:, None], bins), confidence - right)
    gaps[:, BINS] = num_decisions
    return gaps
