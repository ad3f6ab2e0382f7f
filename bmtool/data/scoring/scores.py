"""How sure a metric is: its value over all rows, and an interval by a seeded bootstrap.

A resample of the rows is a vector of weights, how often each row was drawn, so that most metrics (functions of a sum
over rows) need one matrix product for a thousand resamples. Shape letters: N rows, R distinct rows, K statistics of a
row, B resamples, M numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bmtool.contracts import Score
from bmtool.errors import DataError
from bmtool.registry import METRICS

#: What a number over several tasks is called, by which the best weights are chosen (`bmtool.train.jobs.several_tasks`).
MEAN_OF_TASKS = "mean_of_tasks"

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from bmtool.contracts import Columns, Metric
    from bmtool.contracts.evaluation import AnswerKind

    Floats = NDArray[np.float64]

    #: Statistics (R, K) and weights (B, R) to values, as `Metric.values`.
    Values = Callable[[Floats, Floats], Floats]

#: Resamples of the rows. The 2.5 % percentile of 1,000 has a standard error of about half a percentile point.
RESAMPLES = 1000

#: Weights drawn at once: 32 MiB of float64.
_CHUNK_VALUES = 1 << 22


def evaluate_metrics(names: Sequence[str], outputs: Columns, labels: tuple[str, ...]) -> dict[str, float]:
    """The metrics called `names`, with default settings and without intervals. Undefined ones are NaN."""
    metrics: list[Metric] = [METRICS.load(name)() for name in names]
    return {metric.name(): float(over_all(metric.values, metric.statistics(outputs, labels))) for metric in metrics}


def higher_is_better(name: str) -> bool:
    """Whether more of the metric called `name` is better, or of `TASK.METRIC`, or of the mean over tasks."""
    return name == MEAN_OF_TASKS or bool(METRICS.load(name.rpartition(".")[2]).higher_is_better)


def share_of_perfect(name: str, value: float) -> float:
    """A value of the metric called `name` on a scale that metrics share: 1 is perfect.

    Where more is better, as the share of what is perfect; else as e^-value, of a loss in nats the probability of the
    right answer (its geometric mean). 0 where it isn't a number.
    """
    if not np.isfinite(value):
        return 0.0
    metric = METRICS.load(name)
    return float(value / metric.perfect if metric.higher_is_better else np.exp(-value))


def readable(metric: Metric, outputs: Columns) -> bool:
    """Whether `outputs` hold all columns that the metric reads, and answers that it understands."""
    if not all(column in outputs for column in metric.reads):
        return False
    return "references" not in metric.reads or answer_kind(outputs) in metric.judges


def answer_kind(outputs: Columns) -> AnswerKind:
    """What the column `references` holds."""
    references = outputs["references"]
    if isinstance(references, list):
        return "target" if references and isinstance(references[0], list) else "tags"
    if references.dtype.kind == "f":
        return "number"
    return "label" if references.ndim == 1 else "labels"


def over_all(values: Values, statistics: Floats) -> Floats:
    """What `values` gives where each row counts once: (), or (M,) for several numbers."""
    return np.asarray(values(statistics, np.ones((1, len(statistics))))[0])


def bootstrap(metric: Metric, statistics: Floats, seed: int, resamples: int = RESAMPLES) -> Score:
    """The metric over all rows and its 95 % percentile interval (Efron and Tibshirani 1993, section 13.3).

    Args:
        metric: turns weighted rows into a number.
        statistics: (N, K) of each row.
        seed: the same seed and statistics give the same interval.
        resamples: how many times N rows are drawn with replacement.

    Raises:
        DataError: there is no row, or the metric isn't a finite number over these rows.
    """
    num_rows = len(statistics)
    if not num_rows or not np.isfinite(over_all(metric.values, statistics)):
        raise DataError(
            f"{metric.name()} can't be computed: it has no finite value over {num_rows} rows, such as where all are "
            "alike. Name the metrics that are to be measured under evaluate.metrics"
        )
    return _score(metric.values, statistics, seed, resamples)


def paired_difference(metric: Metric, ours: Floats, theirs: Floats, seed: int, resamples: int = RESAMPLES) -> Score:
    """`ours` minus `theirs`, both (N, K) on the same rows: each resample draws the same rows for both."""
    width = ours.shape[1]

    def difference(rows: Floats, weights: Floats) -> Floats:
        return metric.values(rows[:, :width], weights) - metric.values(rows[:, width:], weights)

    return _score(difference, np.concatenate([ours, theirs], axis=1), seed, resamples)


def bootstrap_columns(
    values: Values, statistics: Floats, seed: int, resamples: int = RESAMPLES
) -> tuple[Floats, Floats, Floats]:
    """Value, low and high end of several numbers at once: `values` gives (B, M); each result is (M,)."""
    drawn = np.concatenate([values(rows, weights) for rows, weights in _resampled(statistics, seed, resamples)])
    low, high = np.nanquantile(drawn, [0.025, 0.975], axis=0)
    return over_all(values, statistics), low, high


def _score(values: Values, statistics: Floats, seed: int, resamples: int) -> Score:
    middle, low, high = bootstrap_columns(
        lambda rows, weights: values(rows, weights)[:, None], statistics, seed, resamples
    )
    return Score(float(middle[0]), float(low[0]), float(high[0]), len(statistics))


def _resampled(statistics: Floats, seed: int, resamples: int) -> Iterator[tuple[Floats, Floats]]:
    """Distinct rows (R, K) and how often each is in `resamples` resamples, in chunks (b, R).

    Equal rows are drawn together: drawing N rows and counting each distinct one *is* a multinomial draw, and most
    metrics know few distinct rows (right or wrong), which makes a million rows as cheap as ten.
    """
    rng = np.random.default_rng(seed)
    num_rows = len(statistics)
    rows, counts = np.unique(statistics, axis=0, return_counts=True)
    owner = np.repeat(np.arange(len(rows)), counts)
    chunk = max(1, _CHUNK_VALUES // max(1, len(rows)))
    for start in range(0, resamples, chunk):
        size = min(chunk, resamples - start)
        if len(rows) < num_rows // 8:
            weights = rng.multinomial(num_rows, counts / num_rows, size=size)
        else:  # drawing indices is several times faster than a binomial for each of many distinct rows
            drawn = (owner[rng.integers(0, num_rows, size=num_rows)] for _ in range(size))
            weights = np.stack([np.bincount(rows_drawn, minlength=len(rows)) for rows_drawn in drawn])
        yield rows, weights.astype(np.float64)


def sums(outputs: Columns, numerator: str, denominator: str) -> Floats:
    """(N, 2): two columns of outputs side by side."""
    return np.stack([outputs[numerator], outputs[denominator]], axis=1).astype(np.float64)


def counted(values: Any) -> Floats:
    """(N, K + 1): values (N,) or (N, K) of rows, and a 1 for each, so that `quotient` of the sum is their mean."""
    columns = np.asarray(values, np.float64).reshape(len(values), -1)
    return np.concatenate([columns, np.ones((len(columns), 1))], axis=1)


def quotient(totals: Floats) -> Floats:
    """From totals (..., 2) the first over the second; NaN where the second is 0."""
    top, bottom = totals[..., 0], totals[..., 1]
    return np.asarray(np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom != 0))


def ratio(numerator: Any, denominator: Any) -> Floats:
    """`numerator / denominator`, and 0 where the denominator is 0 (as scikit-learn's `zero_division=0`)."""
    top, bottom = np.broadcast_arrays(np.asarray(numerator, np.float64), np.asarray(denominator, np.float64))
    return np.asarray(np.divide(top, bottom, out=np.zeros(top.shape), where=bottom != 0))
