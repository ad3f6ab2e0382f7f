"""What an evaluation is asked to measure, and what can be measured there, as far as the file says it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bmtool.registry import METRICS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bmtool.config.document import KeyPath
    from bmtool.contracts import Goal


def unmeasured(config: Any, goals: Mapping[str, Goal | None]) -> Iterator[tuple[KeyPath, str]]:
    """(where, what is wrong) of metrics, and gates on them, that what is evaluated doesn't have.

    `goals` are what answers are for, by the name of the dataset; None where the file doesn't say it.
    """
    yield from _metrics(config, goals)
    yield from _gates(config, goals)


def _metrics(config: Any, goals: Mapping[str, Goal | None]) -> Iterator[tuple[KeyPath, str]]:
    """Each metric is taken on every dataset."""
    for index, metric in enumerate(config.metrics or ()):
        for name, goal in goals.items():
            unfit = "" if goal is None else metric.unfit(goal)
            if goal is not None and unfit:
                fit = [one for one in METRICS.names() if not METRICS.load(one)().unfit(goal)]
                where = f" on {name}" if len(goals) > 1 else " here"
                yield ("evaluate", "metrics", index), f"{metric.name()} {unfit}. Measured{where}: {', '.join(fit)}"


def _gates(config: Any, goals: Mapping[str, Goal | None]) -> Iterator[tuple[KeyPath, str]]:
    """A gate is on a metric that is measured."""
    given = [metric.name() for metric in config.metrics or ()]
    measured = {name: [] if goal is None else list(goal.metrics) for name, goal in goals.items()}
    for index, gate in enumerate(config.gates):
        path = ("evaluate", "gates", index, "metric")
        for name, metrics in ({"": given} if given else measured).items():
            if not metrics or gate.metric in metrics or (name and gate.data not in (None, name)):
                continue
            text = f"'{gate.metric}' isn't measured {f'on {name}' if len(measured) > 1 and not given else 'here'}"
            hint = "" if gate.data or given or len(measured) < 2 else ". Say which dataset the gate is for: data"
            yield path, f"{text}, only {', '.join(metrics)}{hint}"
