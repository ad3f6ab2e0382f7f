"""Gates: thresholds that a result must meet, judged from recorded numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import field_validator, model_validator

from bmtool.config.aliases import meant_by
from bmtool.config.model import NameOf, Settings, explained
from bmtool.contracts import GateResult
from bmtool.registry import METRICS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class Gate(Settings):
    """What a metric must reach on every evaluated dataset, or on one: at least `min`, or at most `max`."""

    metric: Annotated[str, NameOf(METRICS)]
    data: str | None = None
    """Of several datasets the one that it is for, by its name."""
    min: float | None = None
    max: float | None = None
    against: str | None = None
    """A baseline, or a name in `evaluate.against`: the gate is on the model's value minus that one's."""
    seeds: Literal["mean", "worst"] | None = None
    """With `finetune.seeds`: what all seeds give in the mean, or the worst of them; else it is the first one's."""
    surely: bool = False
    """Whether the whole 95 % interval must meet it: the one over rows, with `seeds: mean` the one over seeds."""

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
        if self.surely and self.seeds == "worst":
            text = "the worst of several seeds has no interval: take seeds: mean, or leave this out"
            raise explained(text, at="surely")
        return self

    @property
    def subject(self) -> str:
        """`accuracy`, `accuracy minus tfidf`."""
        return self.metric if self.against is None else f"{self.metric} minus {self.against}"

    def is_met_by(self, value: float) -> bool:
        """Whether a value is high or low enough."""
        return (self.min is None or value >= self.min) and (self.max is None or value <= self.max)


@dataclass(frozen=True)
class _Seen:
    """What a gate is about, as it was recorded."""

    value: float
    low: float
    high: float
    what: str


def judge(gates: Iterable[Gate], datasets: Mapping[str, Any]) -> list[GateResult]:
    """Judge each gate on each of an evaluation's `datasets`; a message names the dataset if there are several."""
    return [
        _judge(gate, f"{name}: " if len(datasets) > 1 else "", result)
        for gate in gates
        for name, result in datasets.items()
        if gate.data in (None, name)
    ]


def _judge(gate: Gate, where: str, result: Mapping[str, Any]) -> GateResult:
    threshold = gate.min if gate.min is not None else gate.max
    name = f"{where}{gate.subject} {'min' if gate.min is not None else 'max'} {threshold:g}"
    seen = _seen(gate, result)
    if isinstance(seen, str):
        hint = ", or say which dataset the gate is for: data" if where else ""
        return GateResult(name, passed=False, message=f"{where}{seen}{hint}")
    wants_more, meets = gate.min is not None, gate.is_met_by(seen.value)
    passed = meets and (not gate.surely or gate.is_met_by(seen.low if wants_more else seen.high))
    bound = "at least" if wants_more else "at most"
    relation = f"is {bound}" if meets else "is below" if wants_more else "is above"
    if gate.surely and meets:
        relation = f"is surely {bound}" if passed else f"isn't surely {bound}"
    sign = "" if gate.against is None else "+"
    number = _digits(seen.value, threshold, sign)
    if gate.surely:
        number += f" ({_digits(seen.low, threshold, sign)} to {_digits(seen.high, threshold, sign)})"
    return GateResult(name, passed, f"{where}{seen.what} {number} {relation} {threshold:g}")


def _seen(gate: Gate, result: Mapping[str, Any]) -> _Seen | str:
    """What was recorded for the gate, or why nothing was."""
    measured, by_seeds = result["metrics"], result.get("seeds")
    if gate.metric not in measured:
        return f"{gate.metric} was not measured ({', '.join(measured)} were); add it to evaluate.metrics"
    if gate.seeds is None:
        found = measured[gate.metric]
        if gate.against is not None:
            found = result["baselines"].get(gate.against, {}).get(gate.metric, {}).get("difference")
        if found is None:
            return _not_compared(gate)
        return _Seen(found["value"], found["low"], found["high"], gate.subject)
    if by_seeds is None:
        return f"{gate.metric} was measured with one seed only: set finetune.seeds, or leave out gate.seeds"
    spreads = by_seeds["metrics"] if gate.against is None else by_seeds["differences"].get(gate.against, {})
    if gate.metric not in spreads:
        return _not_compared(gate)
    spread = spreads[gate.metric]
    what = f"{gate.subject}, the {gate.seeds} of {len(spread['values'])} seeds,"
    if gate.seeds == "mean":
        return _Seen(spread["mean"], spread["low"], spread["high"], what)
    worst = (min if gate.min is not None else max)(spread["values"])
    return _Seen(worst, worst, worst, what)


def _not_compared(gate: Gate) -> str:
    return f"{gate.metric} was not compared with {gate.against}, which has no {gate.metric} here"


def _digits(value: float, threshold: float | None, sign: str = "") -> str:
    """Three decimals, or as many as it takes to show that the value isn't the threshold."""
    for digits in range(3, 17):
        text = f"{value:{sign}.{digits}f}"
        if float(text) != threshold or value == threshold:
            return text
    return repr(value)
