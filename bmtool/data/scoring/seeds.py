"""What several trainings that differ in their seed say together: mean, spread, and differences to baselines.

Shape letters: S seeds.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from bmtool.data.scoring.scores import over_all, readable
from bmtool.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bmtool.contracts import Columns, Metric


@dataclass(frozen=True)
class Spread:
    """A number that was measured once a seed."""

    mean: float
    standard_deviation: float
    low: float
    high: float
    """The 95 % interval of the mean over seeds, by Student's t with S - 1 degrees of freedom"""
    values: tuple[float, ...]
    """In the order of the seeds"""

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """The spread of two values or more."""
        from scipy.stats import t  # half a second, only needed here

        mean, deviation = statistics.mean(values), statistics.stdev(values)
        half = float(t.ppf(0.975, len(values) - 1)) * deviation / math.sqrt(len(values))
        return cls(mean, deviation, mean - half, mean + half, tuple(values))


@dataclass(frozen=True)
class SeedStudy:
    """The metrics of S trainings on the same rows."""

    seeds: tuple[int, ...]
    metrics: dict[str, Spread]
    differences: dict[str, dict[str, Spread]]
    """baseline -> metric -> each seed's value minus the baseline's; or another study's, minus that of the same seed"""

    def plain(self) -> dict[str, Any]:
        """Its part of `metrics.json`."""
        return {
            "seeds": list(self.seeds),
            "metrics": {name: asdict(spread) for name, spread in self.metrics.items()},
            "differences": {
                baseline: {name: asdict(spread) for name, spread in spreads.items()}
                for baseline, spreads in self.differences.items()
            },
        }


def study_seeds(
    by_seed: Mapping[int, Columns],
    metrics: Sequence[Metric],
    labels: tuple[str, ...],
    baselines: Mapping[str, Columns],
    others: Mapping[str, Mapping[str, Sequence[float]]],
) -> SeedStudy:
    """Measure the outputs of each seed, at least two, and of baselines, which have but one value each.

    `others` are other studies by name: of each metric that they have, the values of the same seeds in the same order.

    Raises:
        DataError: a metric has no value for some seed.
    """
    spreads: dict[str, Spread] = {}
    differences: dict[str, dict[str, Spread]] = {baseline: {} for baseline in (*baselines, *others)}
    for metric in metrics:
        values = {seed: _value(metric, outputs, labels) for seed, outputs in by_seed.items()}
        undefined = [seed for seed, value in values.items() if not math.isfinite(value)]
        if undefined:
            raise DataError(f"{metric.name()} can't be computed: with seed {undefined[0]} it has no finite value")
        spreads[metric.name()] = Spread.of(list(values.values()))
        for baseline, columns in baselines.items():
            theirs = _value(metric, columns, labels) if readable(metric, columns) else math.nan
            if math.isfinite(theirs):
                differences[baseline][metric.name()] = Spread.of([value - theirs for value in values.values()])
        for other, by_metric in others.items():
            if metric.name() in by_metric:
                pairs = zip(values.values(), by_metric[metric.name()], strict=True)
                differences[other][metric.name()] = Spread.of([ours - theirs for ours, theirs in pairs])
    return SeedStudy(tuple(by_seed), spreads, differences)


def _value(metric: Metric, outputs: Columns, labels: tuple[str, ...]) -> float:
    return float(over_all(metric.values, metric.statistics(outputs, labels)))
