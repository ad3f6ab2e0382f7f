"""Every extension point, a page for each part of the pipeline. Read these to learn how to extend bmtool.

A component is a frozen settings class in a file of its own; the file's name is its name in YAML.

    stages       what a stage is: needs, a job, gates
    kinds        what kinds of columns rows have
    rows         sources, cleaners, filters, scrubbers, deduplicators, tokenizers
    goals        architectures, what is learned, objectives
    tasks        what labelled rows teach
    batches      what these see of the data
    methods      ways to learn a task
    evaluation   metrics, baselines, exporters
    reporting    where numbers go while training
    chosen       settings that choose one of these by name
"""

from bmtool.contracts.batches import Batch, Columns, Examples, Lookup, TokenSource
from bmtool.contracts.chosen import (
    OneArchitecture,
    OneBaseline,
    OneCleaner,
    OneDeduplicator,
    OneExporter,
    OneFilter,
    OneMethod,
    OneMetric,
    OneObjective,
    OneScrubber,
    OneTask,
)
from bmtool.contracts.evaluation import Baseline, Exporter, Metric, Score
from bmtool.contracts.goals import Architecture, Goal, Layout, Objective
from bmtool.contracts.methods import Method, WrappedGoal
from bmtool.contracts.reporting import Channel, ReportedRun, Reporter
from bmtool.contracts.rows import (
    LINE,
    Cleaner,
    Deduplicator,
    Filter,
    Ledger,
    Piece,
    Reading,
    Rejected,
    Scrubber,
    Source,
    TokenizerTrainer,
    Verdict,
)
from bmtool.contracts.stages import GateResult, Job, Need, Planned, Stage, Stop, TrainingStage
from bmtool.contracts.tasks import DocumentTask, HeadTask, OnePassTask, Task, VectorTask, Weighing

__all__ = [
    "LINE",
    "Architecture",
    "Baseline",
    "Batch",
    "Channel",
    "Cleaner",
    "Columns",
    "Deduplicator",
    "DocumentTask",
    "Examples",
    "Exporter",
    "Filter",
    "GateResult",
    "Goal",
    "HeadTask",
    "Job",
    "Layout",
    "Ledger",
    "Lookup",
    "Method",
    "Metric",
    "Need",
    "Objective",
    "OneArchitecture",
    "OneBaseline",
    "OneCleaner",
    "OneDeduplicator",
    "OneExporter",
    "OneFilter",
    "OneMethod",
    "OneMetric",
    "OneObjective",
    "OnePassTask",
    "OneScrubber",
    "OneTask",
    "Piece",
    "Planned",
    "Reading",
    "Rejected",
    "ReportedRun",
    "Reporter",
    "Score",
    "Scrubber",
    "Source",
    "Stage",
    "Stop",
    "Task",
    "TokenSource",
    "TokenizerTrainer",
    "TrainingStage",
    "VectorTask",
    "Verdict",
    "Weighing",
    "WrappedGoal",
]
