"""Gates: thresholds that a result must meet, judged from recorded numbers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import field_validator, model_validator

from bmtool.config.aliases import meant_by
from bmtool.config.model import Settings, explained
from bmtool.contracts import GateResult
from bmtool.registry import METRICS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Gate(Settings):
    """What a metric must reach on every evaluated dataset, or on one: at least `min`, or at most `max`."""

    metric: str
    data: str | None = None
    """Of several datasets the one that it is for, by its name."""
    min: float | None = None
    max: float | None = None
    seeds: Literal["mean", "worst"] | None = None
    """With `finetune.seeds`: what all seeds give in the mean, or the worst of them; else it is the first one's."""

    @field_validator("metric")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in METRICS.names():
            known = ", ".join(METRICS.names())
            raise explained(f"unknown metric '{name}'.{meant_by(name, METRICS.names())} Known: {known}")
        return name

    @model_validator(mode="after")
    def _one_threshold(self) -> Gate:
        if (self.min is None) == (self.max is None):
            raise explained("a gate needs exactly one of min and max")
        return self


def judge(gates: Iterable[Gate], datasets: Mapping[str, Any]) -> list[GateResult]:
    """Judge each gate on each of an evaluation's `datasets`; a message names the dataset if there are several."""
    return [
        _judge(gate, f"{name}: " if len(datasets) > 1 else "", result)
        for gate in gates
        for name, result in datasets.items()
        if gate.data in (None, name)
    ]


def _judge(gate: Gate, where: str, result: Mapping[str, Any]) -> GateResult:
    metrics = result["metrics"]
    threshold = gate.min if gate.min is not None else gate.max
    name = f"{where}{gate.metric} {'min' if gate.min is not None else 'max'} {threshold:g}"
    if gate.metric not in metrics:
        text = f"{where}{gate.metric} was not measured ({', '.join(metrics)} were); add it to evaluate.metrics"
        if where:
            text += ", or say which dataset the gate is for: data"
        return GateResult(name, passed=False, message=text)
    value, what = metrics[gate.metric]["value"], gate.metric
    if gate.seeds is not None:
        if "seeds" not in result:
            text = f"{where}{gate.metric} was measured with one seed only: set finetune.seeds, or leave out gate.seeds"
            return GateResult(name, passed=False, message=text)
        spread = result["seeds"]["metrics"][gate.metric]
        worst = min if gate.min is not None else max
        value = spread["mean"] if gate.seeds == "mean" else worst(spread["values"])
        what = f"{gate.metric}, the {gate.seeds} of {len(spread['values'])} seeds,"
    passed = (gate.min is None or value >= gate.min) and (gate.max is None or value <= gate.max)
    relation = {
        (True, True): "is at least",
        (True, False): "is below",
        (False, True): "is at most",
        (False, False): "is above",
    }[gate.min is not None, passed]
    return GateResult(name, passed, f"{where}{what} {_digits(value, threshold)} {relation} {threshold:g}")


def _digits(value: float, threshold: float | None) -> str:
    """Three decimals, or as many as it takes to show that the value isn't the threshold."""
    for digits in range(3, 17):
        text = f"{value:.{digits}f}"
        if float(text) != threshold or value == threshold:
            return text
    return repr(value)
