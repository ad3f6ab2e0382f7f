"""Settings that are a component, chosen by its name: `OneFilter` reads `c4` and `{type: c4, ...}`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bmtool.contracts.evaluation import Baseline, Exporter, Metric
    from bmtool.contracts.goals import Architecture, Objective
    from bmtool.contracts.methods import Method
    from bmtool.contracts.rows import Cleaner, Deduplicator, Filter, Scrubber
    from bmtool.contracts.tasks import Task

    OneArchitecture = Architecture
    OneBaseline = Baseline
    OneCleaner = Cleaner
    OneDeduplicator = Deduplicator
    OneExporter = Exporter
    OneFilter = Filter
    OneMethod = Method
    OneMetric = Metric
    OneObjective = Objective
    OneScrubber = Scrubber
    OneTask = Task
else:
    from bmtool.config.model import chosen
    from bmtool.registry import (
        ARCHITECTURES,
        BASELINES,
        CLEANERS,
        DEDUPLICATORS,
        EXPORTERS,
        FILTERS,
        METHODS,
        METRICS,
        OBJECTIVES,
        SCRUBBERS,
        TASKS,
    )

    OneArchitecture = chosen(ARCHITECTURES, key="architecture")
    OneBaseline = chosen(BASELINES)
    OneCleaner = chosen(CLEANERS)
    OneDeduplicator = chosen(DEDUPLICATORS)
    OneExporter = chosen(EXPORTERS)
    OneFilter = chosen(FILTERS)
    OneMethod = chosen(METHODS)
    OneMetric = chosen(METRICS)
    OneObjective = chosen(OBJECTIVES)
    OneScrubber = chosen(SCRUBBERS)
    OneTask = chosen(TASKS)
