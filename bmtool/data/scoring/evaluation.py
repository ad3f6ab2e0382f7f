"""Put a model's answers beside those of baselines: every number with its interval, and the differences."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from bmtool.data.scoring.label_counts import class_counts, confusion, precision_recall_f1
from bmtool.data.scoring.scores import answer_kind, bootstrap, bootstrap_columns, over_all, paired_difference, readable
from bmtool.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from bmtool.contracts import Columns, Metric, Score
    from bmtool.data.scoring.seeds import SeedStudy

    Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Label:
    """How well one label is found: n is how often it was predicted, is true, and either."""

    name: str
    precision: Score
    recall: Score
    f1: Score


@dataclass(frozen=True)
class Evaluation:
    """What was measured on one split of one dataset. The first metric is the main one."""

    dataset: str
    split: str
    n: int
    metrics: dict[str, Score]
    baselines: dict[str, dict[str, Score]] = field(default_factory=dict)
    differences: dict[str, dict[str, Score]] = field(default_factory=dict)
    """baseline -> metric -> the model's value minus the baseline's, on the same rows"""
    labels: tuple[Label, ...] = ()
    confusion: tuple[tuple[int, ...], ...] = ()
    """(C, C) true label (row) by predicted label (column); empty where a row may have several labels"""
    details: dict[str, dict[str, str]] = field(default_factory=dict)
    """metric -> what has to be said beside its number so that it can be had again"""
    cut: dict[str, int] = field(default_factory=dict)
    seeds: SeedStudy | None = None
    """Other trainings beside this one that differ in their seed; None: there are none"""

    def plain(self) -> dict[str, Any]:
        """Its part of `metrics.json`."""
        baselines = {
            baseline: {
                name: asdict(score) | {"difference": _interval(self.differences[baseline][name])}
                for name, score in scores.items()
            }
            for baseline, scores in self.baselines.items()
        }
        metrics = {name: asdict(score) | self.details.get(name, {}) for name, score in self.metrics.items()}
        plain = {"split": self.split, "n": self.n, "metrics": metrics, "baselines": baselines}
        return plain if self.seeds is None else {**plain, "seeds": self.seeds.plain()}

    def plain_labels(self) -> dict[str, Any]:
        """Its part of `labels.json`: precision, recall and F1 of each label, and the confusion matrix."""
        labels = {
            label.name: {"precision": asdict(label.precision), "recall": asdict(label.recall), "f1": asdict(label.f1)}
            for label in self.labels
        }
        return {"labels": labels, "confusion": [list(row) for row in self.confusion]}


def _interval(score: Score) -> dict[str, float]:
    return {"value": score.value, "low": score.low, "high": score.high}


def evaluate_outputs(
    outputs: Columns,
    metrics: Sequence[Metric],
    labels: tuple[str, ...],
    *,
    dataset: str,
    split: str,
    baselines: Mapping[str, Columns],
    cut: Mapping[str, int],
    seed: int,
    resamples: int,
) -> Evaluation:
    """Score outputs and those of baselines on the same rows; a baseline is judged by the metrics it can be judged by.

    It can't be by a metric whose columns it doesn't give, or that has no value for it: the same number for all rows has
    no correlation.

    Raises:
        ConfigError: the outputs lack what a metric reads.
        DataError: a metric has no value over these rows.
    """
    _check_readable(metrics, outputs)
    ours = {metric.name(): metric.statistics(outputs, labels) for metric in metrics}
    scores: dict[str, dict[str, Score]] = {}
    differences: dict[str, dict[str, Score]] = {}
    for baseline, columns in baselines.items():
        scores[baseline], differences[baseline] = {}, {}
        for metric in [metric for metric in metrics if readable(metric, columns)]:
            name, theirs = metric.name(), metric.statistics(columns, labels)
            if not np.isfinite(over_all(metric.values, theirs)):
                continue
            scores[baseline][name] = bootstrap(metric, theirs, seed, resamples)
            differences[baseline][name] = paired_difference(metric, ours[name], theirs, seed, resamples)
    has_labels = bool(labels) and "predictions" in outputs
    has_matrix = has_labels and answer_kind(outputs) != "labels"
    return Evaluation(
        dataset=dataset,
        split=split,
        n=len(next(iter(outputs.values()))),
        metrics={metric.name(): bootstrap(metric, ours[metric.name()], seed, resamples) for metric in metrics},
        baselines=scores,
        differences=differences,
        labels=label_scores(outputs, labels, seed, resamples) if has_labels else (),
        confusion=tuple(map(tuple, confusion(outputs, len(labels)).tolist())) if has_matrix else (),
        details={metric.name(): details for metric in metrics if (details := metric.details(outputs))},
        cut=dict(cut),
    )


def _check_readable(metrics: Sequence[Metric], outputs: Columns) -> None:
    for metric in metrics:
        if readable(metric, outputs):
            continue
        lacking = ", ".join(column for column in metric.reads if column not in outputs)
        if lacking:
            what = f"reads {lacking}, which this model's goal doesn't give"
        else:
            what = f"judges {' or '.join(metric.judges)}, and this model answers with {answer_kind(outputs)}"
        raise ConfigError(f"evaluate.metrics: {metric.name()} {what}")


def label_scores(outputs: Columns, labels: tuple[str, ...], seed: int, resamples: int) -> tuple[Label, ...]:
    """Precision, recall and F1 of each label with their intervals."""
    from bmtool.contracts import Score

    counts = class_counts(outputs, len(labels))

    def all_three(rows: Floats, weights: Floats) -> Floats:
        return np.concatenate(precision_recall_f1(weights @ rows), axis=-1)

    middle, low, high = (part.reshape(3, -1) for part in bootstrap_columns(all_three, counts, seed, resamples))
    right, predicted, true = counts.sum(axis=0).reshape(3, -1)
    n = np.stack([predicted, true, predicted + true - right]).astype(int)
    rows = [
        [Score(float(middle[k, c]), float(low[k, c]), float(high[k, c]), int(n[k, c])) for k in range(3)]
        for c in range(len(labels))
    ]
    return tuple(Label(name, *three) for name, three in zip(labels, rows, strict=True))


def comparisons(evaluation: Evaluation, metrics: Sequence[Metric]) -> list[tuple[str, str]]:
    """(tone, sentence) for each baseline: `good` where the model surely wins by the first metric, `bad` where it loses.

    It is sure where the whole interval of the difference says so. Where another metric surely says the opposite, the
    sentence says that, too, and nothing is `good`. The tones are those of the report.
    """
    return [
        _compare(evaluation, baseline, metrics)
        for baseline, differences in evaluation.differences.items()
        if metrics[0].name() in differences
    ]


def _compare(evaluation: Evaluation, baseline: str, metrics: Sequence[Metric]) -> tuple[str, str]:
    differences, main = evaluation.differences[baseline], metrics[0]
    difference = differences[main.name()]
    least, most = _gain(main, difference)
    numbers = (
        f"{_against(evaluation, baseline, main)}, "
        f"difference {difference.value:+.3f} ({difference.low:+.3f} to {difference.high:+.3f})"
    )
    if most < 0:
        return "bad", f"the model LOSES to {baseline}: {numbers}"
    others = [metric for metric in metrics[1:] if metric.name() in differences]
    worse = [metric for metric in others if _gain(metric, differences[metric.name()])[1] < 0]
    if worse:
        numbers += f"; WORSE by {', '.join(_against(evaluation, baseline, metric) for metric in worse)}"
    if least > 0:
        return "warning" if worse else "good", f"better than {baseline}: {numbers}"
    is_more = difference.value > 0 if main.higher_is_better else difference.value < 0
    word = "not surely" if is_more else "no"
    return "warning", f"{word} better than {baseline}: {numbers}"


def _gain(metric: Metric, difference: Score) -> tuple[float, float]:
    """The interval of what is gained: above 0 the model is surely better."""
    return (difference.low, difference.high) if metric.higher_is_better else (-difference.high, -difference.low)


def _against(evaluation: Evaluation, baseline: str, metric: Metric) -> str:
    name = metric.name()
    return f"{name} {evaluation.metrics[name].value:.3f} against {evaluation.baselines[baseline][name].value:.3f}"
