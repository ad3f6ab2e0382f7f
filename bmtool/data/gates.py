"""Gates: thresholds that a result must meet, judged from recorded numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import field_validator, model_validator

from bmtool.config.model import Settings, explained
from bmtool.contracts import GateResult
from bmtool.errors import did_you_mean
from bmtool.registry import METRICS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Gate(Settings):
    """What a metric must reach on every evaluated dataset: at least `min`, or at most `max`."""

    metric: str
    min: float | None = None
    max: float | None = None

    @field_validator("metric")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in METRICS.names():
            known = ", ".join(METRICS.names())
            raise explained(f"unknown metric '{name}'.{did_you_mean(name, METRICS.names())} Known: {known}")
        return name

    @model_validator(mode="after")
    def _one_threshold(self) -> Gate:
        if (self.min is None) == (self.max is None):
            raise explained("a gate needs exactly one of min and max")
        return self


def judge(gates: Iterable[Gate], datasets: Mapping[str, Any]) -> list[GateResult]:
    """Judge each gate on each of an evaluation's `datasets`; a message names the dataset if there are several."""
    return [
        _judge(gate, f"{name}: " if len(datasets) > 1 else "", result["metrics"])
        for gate in gates
        for name, result in datasets.items()
    ]


def _judge(gate: Gate, where: str, metrics: Mapping[str, Any]) -> GateResult:
    threshold = gate.min if gate.min is not None else gate.max
    name = f"{where}{gate.metric} {'min' if gate.min is not None else 'max'} {threshold:g}"
    if gate.metric not in metrics:
        text = f"{where}{gate.metric} was not measured ({', '.join(metrics)} were); add it to evaluate.metrics"
        return GateResult(name, passed=False, message=text)
    value = metrics[gate.metric]["value"]
    passed = (gate.min is None or value >= gate.min) and (gate.max is None or value <= gate.max)
    relation = {
        (True, True): "is at least",
        (True, False): "is below",
        (False, True): "is at most",
        (False, False): "is above",
    }[gate.min is not None, passed]
    return GateResult(name, passed, f"{where}{gate.metric} {_digits(value, threshold)} {relation} {threshold:g}")


def _digits(value: float, threshold: float | None) -> str:
    """Three decimals, or as many as it takes to show that the value isn't the threshold."""
    for digits in range(3, 17):
        text = f"{value:.{digits}f}"
        if float(text) != threshold or value == threshold:
            return text
    return repr(value)
