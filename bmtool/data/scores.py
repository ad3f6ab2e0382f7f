"""Metrics from sums over rows, and how sure they are: a seeded bootstrap.

Every metric is a function of a sum of per-row statistics, so that a resample of the rows is a vector of weights and a
thousand resamples are one matrix product. Shape letters: N rows, K statistics, C labels, B resamples.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bmtool.contracts import Score
from bmtool.errors import DataError
from bmtool.registry import METRICS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from bmtool.contracts import Columns, Metric

    Floats = NDArray[np.float64]

#: Resamples of the rows. The 2.5 % percentile of 1,000 has a standard error of about half a percentile point.
RESAMPLES = 1000

#: Weights drawn at once: 32 MiB of float64.
_CHUNK_VALUES = 1 << 22


def evaluate_metrics(names: Sequence[str], outputs: Columns, labels: tuple[str, ...]) -> dict[str, float]:
    """The metrics called `names`, with default settings and without intervals. Undefined ones are NaN."""
    metrics: list[Metric] = [METRICS.load(name)() for name in names]
    return {metric.name(): float(metric.value(total(metric.statistics(outputs, labels)))) for metric in metrics}


def higher_is_better(name: str) -> bool:
    """Whether more of the metric called `name` is better."""
    return bool(METRICS.load(name).higher_is_better)


def readable(metric: Metric, outputs: Columns) -> bool:
    """Whether `outputs` hold all columns that the metric reads."""
    return all(column in outputs for column in metric.reads)


def total(statistics: Floats) -> Floats:
    """(N, K) to (K,)."""
    return np.asarray(statistics.sum(axis=0))


def bootstrap(metric: Metric, statistics: Floats, seed: int, resamples: int = RESAMPLES) -> Score:
    """The metric over all rows and its 95 % percentile interval (Efron and Tibshirani 1993, section 13.3).

    Args:
        metric: turns totals into a number.
        statistics: (N, K) of each row.
        seed: the same seed and statistics give the same interval.
        resamples: how many times N rows are drawn with replacement.

    Raises:
        DataError: there is no row, or the metric isn't a finite number over these rows.
    """
    num_rows = len(statistics)
    if not num_rows or not np.isfinite(metric.value(total(statistics))):
        raise DataError(f"{metric.name()} can't be computed: it has no finite value over {num_rows} rows")
    return _score(metric.value, statistics, seed, resamples)


def paired_difference(metric: Metric, ours: Floats, theirs: Floats, seed: int, resamples: int = RESAMPLES) -> Score:
    """`ours` minus `theirs`, both (N, K) on the same rows: each resample draws the same rows for both."""
    width = ours.shape[1]

    def difference(totals: Floats) -> Floats:
        return metric.value(totals[..., :width]) - metric.value(totals[..., width:])

    return _score(difference, np.concatenate([ours, theirs], axis=1), seed, resamples)


def bootstrap_columns(
    value: Callable[[Floats], Floats], statistics: Floats, seed: int, resamples: int = RESAMPLES
) -> tuple[Floats, Floats, Floats]:
    """Value, low and high end of several numbers at once: `value` maps (..., K) to (..., M); each result is (M,)."""
    values = np.concatenate([value(totals) for totals in _resampled(statistics, seed, resamples)])
    low, high = np.nanquantile(values, [0.025, 0.975], axis=0)
    return value(total(statistics)), low, high


def _score(value: Callable[[Floats], Floats], statistics: Floats, seed: int, resamples: int) -> Score:
    middle, low, high = bootstrap_columns(lambda totals: value(totals)[..., None], statistics, seed, resamples)
    return Score(float(middle[0]), float(low[0]), float(high[0]), len(statistics))


def _resampled(statistics: Floats, seed: int, resamples: int) -> Iterator[Floats]:
    """Totals of `resamples` resamples, in chunks (b, K).

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
        yield weights.astype(np.float64) @ rows


def ratio(numerator: Any, denominator: Any) -> Floats:
    """`numerator / denominator`, and 0 where the denominator is 0 (as scikit-learn's `zero_division=0`)."""
    top, bottom = np.broadcast_arrays(np.asarray(numerator, np.float64), np.asarray(denominator, np.float64))
    return np.asarray(np.divide(top, bottom, out=np.zeros(top.shape), where=bottom != 0))


def per_document(outputs: Columns, num_documents: int) -> Columns:
    """Results of pieces of documents summed over each document, whose row the column `document` says.

    Rows must be independent for a bootstrap, and pieces of one text aren't.
    """
    owner = outputs["document"]
    return {
        name: np.bincount(owner, weights=values, minlength=num_documents)
        for name, values in outputs.items()
        if name != "document"
    }


def sums(outputs: Columns, numerator: str, denominator: str) -> Floats:
    """(N, 2): two columns of outputs side by side."""
    return np.stack([outputs[numerator], outputs[denominator]], axis=1).astype(np.float64)


def quotient(totals: Floats) -> Floats:
    """From totals (..., 2) the first over the second; NaN where the second is 0."""
    top, bottom = totals[..., 0], totals[..., 1]
    return np.asarray(np.divide(top, bottom, out=np.full(top.shape, np.nan), where=bottom != 0))


def flat_labels(outputs: Columns) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """References, predictions and the row of each: one value a row for texts, one a word for words."""
    references, predictions = outputs["references"], outputs["predictions"]
    if not isinstance(references, list):
        return references, predictions, np.arange(len(references))
    rows = np.repeat(np.arange(len(references)), [len(row) for row in references])
    if not references:
        return rows, rows, rows
    return np.concatenate(references), np.concatenate(predictions), rows


def class_counts(outputs: Columns, num_labels: int) -> Floats:
    """(N, 3C) for each row: right, predicted and true occurrences of each label."""
    references, predictions, rows = flat_labels(outputs)
    num_rows = len(outputs["references"])
    right = references == predictions
    cells = [
        (3 * rows[right] + 0) * num_labels + references[right],
        (3 * rows + 1) * num_labels + predictions,
        (3 * rows + 2) * num_labels + references,
    ]
    counts = np.bincount(np.concatenate(cells), minlength=num_rows * 3 * num_labels)
    return counts.reshape(num_rows, 3 * num_labels).astype(np.float64)


def precision_recall_f1(totals: Floats) -> tuple[Floats, Floats, Floats]:
    """From totals (..., 3C) of `class_counts`: precision, recall and F1 of each label, (..., C)."""
    right, predicted, true = np.split(totals, 3, axis=-1)
    return ratio(right, predicted), ratio(right, true), ratio(2 * right, predicted + true)


def mean_over_seen(values: Floats, totals: Floats) -> Floats:
    """The mean of (..., C) over labels that occur in references or predictions, as scikit-learn's macro average."""
    _, predicted, true = np.split(totals, 3, axis=-1)
    seen = (predicted + true) > 0
    return ratio((values * seen).sum(axis=-1), seen.sum(axis=-1))


def confusion(outputs: Columns, num_labels: int) -> NDArray[np.int64]:
    """(C, C): how often each true label (row) was predicted as each label (column)."""
    references, predictions, _ = flat_labels(outputs)
    flat = np.bincount(references * num_labels + predictions, minlength=num_labels * num_labels)
    return flat.reshape(num_labels, num_labels)
