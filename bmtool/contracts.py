"""Every extension point on one page. Read this file to learn how to extend bmtool.

A component is a frozen settings class in a file of its own; the file's name is its name in YAML. Shape letters:
N examples, T tokens of a packed batch, C classes, K sufficient statistics of a metric.
"""

from __future__ import annotations

import importlib.util
from abc import abstractmethod
from collections.abc import Mapping  # pydantic reads the ClassVar annotations below
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Protocol, Self

from pydantic import Field, PrivateAttr

from bmtool.config.model import Component, chosen
from bmtool.errors import ConfigError
from bmtool.registry import (
    ARCHITECTURES,
    BASELINES,
    CLEANERS,
    DEDUPLICATORS,
    EXPORTERS,
    FILTERS,
    METRICS,
    OBJECTIVES,
    SCRUBBERS,
    TASKS,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray
    from tokenizers import Tokenizer
    from torch import Tensor, nn
    from transformers import PretrainedConfig

    from bmtool.artifacts.manifest import Artifact
    from bmtool.config.model import Settings
    from bmtool.config.references import Reference
    from bmtool.config.shared import Runtime
    from bmtool.console import Console
    from bmtool.data.text.documents import Documents
    from bmtool.runner.pipeline import Pipeline
    from bmtool.train.estimate import Outline


# ---------------------------------------------------------------- stages


class Stop(Protocol):
    """Asks a long step to stop."""

    @property
    def reason(self) -> str:
        """Empty until a signal came or `--max-time` is over."""


@dataclass(frozen=True)
class Job:
    """All that a stage gets besides its settings. The runner makes it, and commits `folder` when `run` returns."""

    folder: Path
    """The partial folder to write into; it may hold the saved work of an interrupted run."""
    inputs: Mapping[str, Artifact]
    """What the stage reads, by role (`data`, `from`, ...)."""
    seed: int
    runtime: Runtime
    console: Console
    stop: Stop
    fingerprint: str = ""
    raw: Mapping[str, str] = field(default_factory=dict)
    """sha256 of each raw file, by the name that `Stage.raw` gave it."""
    cache: Path | None = None
    """A folder shared by all runs of a store, for work that can be taken up again; None: nothing is kept."""
    is_fresh: bool = False
    """Whether everything is made from nothing (`--force`): what `cache` holds is not read."""
    reports: Path | None = None
    """A folder outside of the artifact for what reporters keep, as `runs/NAME/reports/STAGE`; None: `folder`."""
    wait_seconds: float = 0.0
    """How long to wait for a card that others compute on (`--wait`)"""
    is_smoke: bool = False
    """Whether this is a smoke run (`--smoke`): `prepare` takes a few rows, the settings of the others are small."""


@dataclass(frozen=True)
class Need:
    """An input of a stage: something that a name or a path refers to, or something made on the way."""

    kind: Literal["dataset", "checkpoint"]
    reference: Reference | None = None
    """A name in this file, or a path."""
    made: tuple[str, Settings] | None = None
    """(stage, settings) of an artifact that belongs to this stage alone, made and cached when it is needed."""


@dataclass(frozen=True)
class GateResult:
    """A threshold and what was measured."""

    name: str
    passed: bool
    message: str
    """`accuracy 0.412 is below 0.5`: what was asked, what was seen."""
    is_about_quality: bool = True
    """Whether it asks for what a few steps on a few rows can't give; a smoke run says it, and doesn't fail."""

    @property
    def verdict(self) -> str:
        """`gate NOT MET: accuracy 0.412 is below 0.5`."""
        return f"gate {'passed' if self.passed else 'NOT MET'}: {self.message}"


class Stage(Protocol):
    """What a module in `stages/` gives. The runner does all the rest."""

    VERSION: int
    """Raised when the same settings and inputs make something else than before."""
    VERSION_COUNTS: bool
    """Whether VERSION is in the fingerprint: not for training, an upgrade never starts a three-day run again."""
    KIND: str
    """What it makes: `dataset`, `checkpoint`, `evaluation` or `bundle`."""
    Config: type[Any]
    """Its section of the file."""

    def needs(self, config: Any, pipeline: Pipeline) -> dict[str, Need]:
        """Inputs by role."""

    def raw(self, config: Any) -> list[tuple[str, Path]]:
        """Raw files read, as `Source.files` gives them."""

    def run(self, config: Any, job: Job) -> dict[str, Any]:
        """Write everything into `job.folder`; return the summary (plain JSON) for the manifest and the last lines."""

    def gates(self, config: Any, summary: dict[str, Any]) -> list[GateResult]:
        """Judge recorded numbers; called after each run and also when the artifact is up to date."""

    def describe(self, summary: dict[str, Any]) -> list[str]:
        """The few lines a person wants to see at the end."""


class TrainingStage(Stage, Protocol):
    """A stage that makes a checkpoint. It can also say what it would train."""

    def outline(self, config: Any, job: Job) -> Outline:
        """The model without weights and what it would be trained on, for `--dry-run`; nothing is written."""


# ---------------------------------------------------------------- data


@dataclass
class Ledger:
    """Every row that comes in comes out, or is counted under a reason."""

    rows_in: int = 0
    rows_out: int = 0
    dropped: dict[str, int] = field(default_factory=dict)

    def drop(self, reason: str, count: int) -> None:
        """Count `count` rows that leave for `reason`; a reason with 0 is kept, to show that the rule was there."""
        self.dropped[reason] = self.dropped.get(reason, 0) + count

    def check(self) -> None:
        """Raise AssertionError (a bug of ours) unless in = out + dropped."""
        if self.rows_in != self.rows_out + sum(self.dropped.values()):
            raise AssertionError(f"ledger doesn't balance: {self}")


@dataclass(frozen=True)
class Rejected:
    """A row that could not be read. It never holds the text."""

    file: str
    line: int
    reason: str
    """What is wrong; what stands behind the first `: ` is detail, and not counted by."""


@dataclass(frozen=True)
class Piece:
    """A part of a source that is read by itself: a file, some whole lines of one, some row groups, a package.

    It is handed to a worker process, and what was made of it is taken up again as long as its key stays.
    """

    file: str
    """The file's stable name, as `Source.files` gives it."""
    path: Path
    key: str
    """What its content is known by: other bytes, another key. The name and `first` needn't be in it."""
    size: int
    """About how many bytes of text it holds."""
    first: int = 1
    """The number of its first line (or row) in the file."""
    data: bytes | None = field(default=None, repr=False)
    """Its bytes, unpacked, where the file was read to cut it; else the piece is read from `path`."""
    part: tuple[int, int] | None = None
    """Which row groups (first, end) of a Parquet file it is."""


#: The column that says where a row stood in its file, from 1; no column of a user can be called so.
LINE = "#line"


@dataclass
class Reading:
    """What a source reads rows into, and where it accounts for what it can't read."""

    columns: Mapping[str, str | tuple[str, ...]]
    """Our name: theirs, or several of theirs to be joined by a line break; one that isn't in it is called the same."""
    schema: pa.Schema
    """Our columns; each field's metadata says what kind of column it is (`bmtool.data.rows`)."""
    reject: Callable[[Rejected], None]
    """Called for each row that can't be read; a row is rejected or comes out, never skipped."""
    unseen: set[str] = field(default_factory=set)
    """Set by the source at the end: those of their columns that none of the piece's rows had."""
    known: list[str] = field(default_factory=list)
    """Set by the source with `unseen`: some names that the rows do have, for the message."""


class Source(Component):
    """Where rows come from. Files are read in a fixed order, in record batches of bounded size."""

    suffixes: ClassVar[tuple[str, ...]] = ()
    """File name endings that mean this source, such as `.csv`."""

    columns: dict[str, str | tuple[str, ...]] | None = None
    """Our name: theirs, for this source alone; it goes before the dataset's own `columns`."""
    weight: Annotated[float, Field(gt=0, le=1)] = 1.0
    """The share of its rows that is kept, drawn by their ids."""

    def fetch(self, console: Console) -> None:
        """Bring here what isn't on this disk, and say so. Nothing else of a source uses the network; most need none.

        Raises:
            MissingInputError, TryAgainError, StorageError: it can't be had.
        """
        del console

    def revisions(self) -> dict[str, str]:
        """What a name that may come to mean something else meant: name to commit, for the manifest."""
        return {}

    @abstractmethod
    def files(self) -> list[tuple[str, Path]]:
        """(stable name, path) of every file whose bytes identify the input, sorted by name.

        The name holds no absolute path. Installed packages give their RECORD.

        Raises:
            MissingInputError: nothing matches.
        """

    def num_bytes(self) -> int:
        """About how many bytes there are to read: so many workers are worth their start."""
        return sum(path.stat().st_size for _, path in self.files())

    def pieces(self, name: str, path: Path, sha256: str) -> Iterator[Piece]:
        """The pieces of one of `files`, in order; together they are all of it. By default the whole file is one.

        Raises:
            DataError: the file is damaged, or breaks a limit.
        """
        yield Piece(name, path, sha256, path.stat().st_size)

    @abstractmethod
    def read(self, piece: Piece, reading: Reading) -> Iterator[pa.RecordBatch]:
        """Batches with exactly the columns and types of `reading.schema`, and LINE (int64) behind them.

        Raises:
            DataError: the file is damaged, or breaks a limit.
        """


class Cleaner(Component):
    """Rewrites texts; never drops one."""

    @abstractmethod
    def clean(self, texts: pa.Array) -> pa.Array:
        """`texts` (string) cleaned: as many, in the same order."""


@dataclass(frozen=True)
class Verdict:
    """What a filter says of N documents. The measured value and the threshold are those of the rule that failed."""

    rule: NDArray[np.int16]
    """(N,) the first rule that failed, as an index into `Filter.rules`; -1: the document stays."""
    value: NDArray[np.float64]
    """(N,) what was measured; NaN where nothing failed, or the rule measures nothing."""
    threshold: NDArray[np.float64]
    """(N,) what it was held against; NaN likewise."""
    failed: NDArray[np.bool_] | None = None
    """(rules, N) every rule that failed, not the first alone; None: not known. Only a preview asks."""


class Filter(Component):
    """Decides which documents stay. Its name is the reason in the ledger; each of its rules is counted besides."""

    @abstractmethod
    def rules(self) -> tuple[str, ...]:
        """The names of its rules in the order in which they are applied, such as `min_chars`."""

    def files(self) -> list[tuple[str, Path]]:
        """(stable name, path) of files that it reads, such as a list of words: their bytes decide what is made."""
        return []

    @abstractmethod
    def judge(self, documents: Documents) -> Verdict:
        """Judge every document; what several filters need is computed once, through `Documents.shared`."""


class Scrubber(Component):
    """Finds one kind of private data. All scrubbers of a dataset go over a text together (`bmtool.data.text.scrub`)."""

    precedence: ClassVar[int] = 100
    """Where several match at the same place, the lowest goes first; ties go by the order in which they are listed."""

    replace: Literal["tag", "pseudonym"] = "tag"
    """`tag` puts `[EMAIL]` in its place; `pseudonym` the same made-up value for the same value, by a secret key."""

    @abstractmethod
    def pattern(self) -> str:
        """What may be one, in a syntax that RE2 and Python's `re` (with ASCII classes) read alike.

        With capturing groups, the last one that took part holds the value; the rest of the match is context and stays.
        """

    def is_valid(self, value: str, before: str, after: str) -> bool:
        """Whether the value is one indeed, by a checksum, a range, or up to 32 characters on either side of it."""
        del value, before, after
        return True

    def normalised(self, value: str) -> str:
        """The value as it is given a pseudonym: other spellings of it get the same one."""
        return value


class Deduplicator(Component):
    """Settings of a way to find copies; the work is in `bmtool.data`, since it looks at all rows at once."""


class TokenizerTrainer(Component):
    """Learns a vocabulary from texts, reproducibly: the same texts in the same order give the same bytes."""

    # Of held-out text, a WordPiece vocabulary of 32,000 from 8, 16, 32 and 64 MB made .2648, .2631, .2624 and .2620
    # tokens a byte, in 3, 6, 10 and 19 seconds; BPE .2875, .2851, .2832 and .2816.
    sample_bytes: ClassVar[int] = 64 * 1024**2
    """It learns from at most so much text, drawn by the rows' ids: time and memory are bounded."""

    @abstractmethod
    def train(self, texts: Iterable[str]) -> Tokenizer:
        """A tokenizer with special tokens and post-processor, ready to be saved as `tokenizer.json`.

        `texts` may be iterated more than once.
        """

    @abstractmethod
    def special_tokens(self) -> dict[str, str]:
        """`{"pad_token": "[PAD]", ...}` for `tokenizer_config.json`."""

    def transformers_settings(self) -> dict[str, Any]:
        """What else `tokenizer_config.json` says: the class that `AutoTokenizer` opens it with, and its settings."""
        return {"tokenizer_class": "PreTrainedTokenizerFast"}


# ---------------------------------------------------------------- models and training


class Architecture(Component):
    """A family of models that can be built from settings. Sizes are shorthands for its dimensions."""

    objectives: ClassVar[tuple[str, ...]]
    """Names of the objectives that it can be pre-trained with."""
    detours: ClassVar[tuple[str, ...]] = ()
    """Further ones that a phase may have which isn't the last: what is learned so serves the others."""

    @abstractmethod
    def config(self, *, vocab_size: int, max_seq_length: int, special_ids: Mapping[str, int]) -> PretrainedConfig:
        """The transformers configuration; `special_ids` maps `pad`, `bos`, `eos`, ... to token ids."""


class TokenSource(Protocol):
    """Flat token ids, in memory or memory-mapped."""

    def gather(self, starts: NDArray[np.int64], lengths: NDArray[np.int64]) -> NDArray[Any]:
        """The tokens of the given spans one after the other: (sum of lengths,)."""


@dataclass(frozen=True)
class Examples:
    """Encoded documents, ready to be packed. Row i of a column belongs to example i."""

    tokens: TokenSource
    starts: NDArray[np.int64]
    """(N,) where each document's tokens start, without special tokens."""
    lengths: NDArray[np.int64]
    """(N,) how many there are, without special tokens."""
    prefix: tuple[int, ...]
    """Special tokens put before each document, such as [CLS]."""
    suffix: tuple[int, ...]
    """Special tokens put behind each document, such as [SEP]."""
    columns: Mapping[str, Any]
    """What the goal needs besides tokens: labels, word starts, byte counts, ids."""
    labels: tuple[str, ...] = ()
    cut: Mapping[str, int] = field(default_factory=dict)
    """What was lost on the way, by reason: `texts_cut`, `tokens_cut`, ..."""
    vocab_size: int = 0
    """How many token ids there are; 0 where the goal never needs to know."""
    special_ids: Mapping[str, int] = field(default_factory=dict)
    """Ids of special tokens by their text, such as `[MASK]`."""

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def packed_lengths(self) -> NDArray[np.int64]:
        """(N,) tokens each example takes in a batch, special tokens included."""
        return self.lengths + (len(self.prefix) + len(self.suffix))


@dataclass(frozen=True)
class Batch:
    """T tokens of whole documents in one row. Documents never see each other."""

    input_ids: Tensor
    """int64 (1, T)"""
    position_ids: Tensor
    """int64 (1, T), from 0 in each document"""
    cu_seq_lens: Tensor
    """int32 (N + 1), where documents start; the last is T"""
    max_length: int
    rows: NDArray[np.int64]
    """(N,) which examples these are"""
    targets: Mapping[str, Tensor]
    counts: Mapping[str, int]
    """Per loss term, how many targets its sum runs over; known before the forward pass"""
    token_type_ids: Tensor | None = None
    """int64 (1, T), 0 in a document's text A and 1 in its text B; None: there is no text B"""
    is_causal: bool = False
    """Whether tokens see only what is before them, also in a model that reads both ways"""

    @property
    def num_tokens(self) -> int:
        """T."""
        return int(self.input_ids.shape[1])


Columns = dict[str, Any]
"""Per-example results by name: arrays of N rows, or (for one value a word) a list of N arrays."""


class Goal(Component):
    """What the loop trains for. The loop knows no term's and no goal's name."""

    auto_class: ClassVar[str]
    """The class of transformers that opens its checkpoint, such as `AutoModelForMaskedLM`."""
    metrics: ClassVar[tuple[str, ...]]
    """Metrics computed on validation; the first is the default for choosing the best checkpoint."""

    @abstractmethod
    def examples(self, split: Any, tokenizer: Any, max_seq_length: int) -> Examples:
        """Encode a dataset's split (`bmtool.data.dataset.Split`). What is cut is counted in `Examples.cut`."""

    @abstractmethod
    def collate(self, examples: Examples, rows: NDArray[np.int64], rng: np.random.Generator) -> Batch:
        """Pack the given examples into one batch; all randomness comes from `rng`."""

    def measured(self) -> Goal:
        """The goal as it is evaluated: a fixed one, so that numbers can be compared. Most are as they are trained."""
        return self

    @abstractmethod
    def losses(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """The *sum* of each loss term over the batch: the loop divides by the whole window's counts."""

    @abstractmethod
    def outputs(self, model: nn.Module, batch: Batch, examples: Examples) -> Columns:
        """Per-example results that `metrics` read, in the order of `batch.rows`. Called without gradients."""


@dataclass(frozen=True)
class Weighing:
    """How much each label counts in the training loss of a task. Validation and evaluation weigh all alike."""

    label_smoothing: float = 0.0
    """This share of a label's probability is wanted for all labels alike."""
    class_weights: tuple[float, ...] | None = None
    """(C,) of each label, 1 in the mean over the training rows; None: all alike."""


class Objective(Goal):
    """A self-supervised goal: the text itself is the answer."""


class Task(Goal):
    """A supervised goal on labelled rows. To add one: a file in `tasks/`, its test, a config."""

    head: ClassVar[Literal["document", "token"]]
    """Whether the head gives a row of logits per document, (N, C), or per token, (T, C)."""
    columns: ClassVar[Mapping[str, str]]
    """Columns read: name to `text`, `label`, `words` (list of text) or `tags` (list of labels)."""

    labels: tuple[str, ...] | None = None
    """The labels in the order of their ids; else the sorted distinct values of all splits."""

    _weighing: Weighing = PrivateAttr(default=Weighing())

    def weighed(self, weighing: Weighing) -> Self:
        """The same task with another weighing of labels in its losses; no setting of the dataset, but of training."""
        task = self.model_copy()
        task._weighing = weighing  # noqa: SLF001  its own
        return task

    @abstractmethod
    def read(self, logits: NDArray[np.float32], batch: Batch, examples: Examples) -> Columns:
        """Turn logits, (N, C) or (T, C), into predictions per example; the same for torch and ONNX."""

    @abstractmethod
    def present(self, outputs: Columns, labels: tuple[str, ...]) -> pa.Table:
        """What `predict` writes for each row, such as `label` and `score`; what `evaluate` puts into predictions/."""


# ---------------------------------------------------------------- evaluation and export


class Metric(Component):
    """A number that is a function of a sum over rows, so that a bootstrap is one matrix product."""

    higher_is_better: ClassVar[bool] = True
    reads: ClassVar[tuple[str, ...]] = ("references", "predictions")
    """The columns of outputs that it needs; a baseline that doesn't give them isn't judged by it."""

    @abstractmethod
    def statistics(self, outputs: Columns, labels: tuple[str, ...]) -> NDArray[np.float64]:
        """(N, K) sufficient statistics of each row, such as [correct, 1]."""

    @abstractmethod
    def value(self, totals: NDArray[np.float64]) -> NDArray[np.float64]:
        """The metric from summed statistics: (..., K) to (...)."""


@dataclass(frozen=True)
class Score:
    """A metric with its 95 % interval and the number of rows behind it."""

    value: float
    low: float
    high: float
    n: int


class Baseline(Component):
    """Something simpler to stand beside the model, on the same rows."""

    reads: ClassVar[frozenset[str]] = frozenset()
    """What a task's columns must hold for it, such as `text` and `label`; empty: it can do every task."""

    def trained(self, pipeline: Pipeline) -> dict[str, Settings]:
        """Fine-tune settings by name for artifacts that this baseline needs made first; most need none.

        Raises:
            ConfigError: the file doesn't say what they need.
        """
        del pipeline
        return {}

    @abstractmethod
    def predict(self, job: Job, task: Task, dataset: Any, split: str, labels: tuple[str, ...]) -> Columns:
        """Results for each row of the split called `split`, as `Task.outputs` gives them, with ids of `labels`.

        Only the dataset's train and validation splits may be learned from. What `trained` asked for is in `job.inputs`
        as `<name of the baseline>:<name it gave>`.
        """


class Exporter(Component):
    """Writes a checkpoint in another format and proves it equal."""

    @abstractmethod
    def export(self, checkpoint: Artifact, data: Any, folder: Path, job: Job) -> dict[str, Any]:
        """Write into `folder`, reload in a fresh process, compare on the rows of the split `data`; return the numbers.

        Raises:
            GateError: the exported model's answers differ by more than the settings allow.
        """


# ---------------------------------------------------------------- reports while training


@dataclass(frozen=True)
class ReportedRun:
    """What a reporter knows of the run whose numbers it gets."""

    name: str
    """`pretrain-77c0a1b2c3d4`"""
    project: str
    """The pipeline's name"""
    folder: Path
    """Where it may keep files; no part of the artifact"""
    handle: str
    """What `Channel.handle` was when the same run began; empty for a new one"""
    new_handle: str
    """One that no other run has, for services that let their callers choose"""


class Channel(Protocol):
    """An open connection to where numbers go. It is used by one thread; whatever it raises is said and counted."""

    @property
    def handle(self) -> str:
        """What the service knows the run by, so that it can be gone on with."""

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Send the numbers of a step, by names such as `train/loss`. A step is sent once a kind, in order."""

    def close(self) -> None:
        """Send what waits, and end."""


class Reporter(Component):
    """Sends a run's numbers somewhere besides `metrics.jsonl`. Training never waits for it, and never fails with it.

    Its name is that of the package that it needs, and of the extra that brings it.
    """

    def check(self) -> None:
        """Make sure, before training, that it can work.

        Raises:
            ConfigError: its package isn't installed.
        """
        if importlib.util.find_spec(self.name()) is None:
            raise ConfigError(
                f"report_to: {self.name()} isn't installed. Install it: pip install 'bmtool-pipeline[{self.name()}]'"
            )

    @abstractmethod
    def open(self, run: ReportedRun) -> Channel:
        """Connect, without asking anybody anything; no network unless the service's own variables say so."""


# ---------------------------------------------------------------- settings that are a component, chosen by name

if TYPE_CHECKING:
    OneArchitecture = Architecture
    OneBaseline = Baseline
    OneCleaner = Cleaner
    OneDeduplicator = Deduplicator
    OneExporter = Exporter
    OneFilter = Filter
    OneMetric = Metric
    OneObjective = Objective
    OneScrubber = Scrubber
    OneTask = Task
else:
    OneArchitecture = chosen(ARCHITECTURES, key="architecture")
    OneBaseline = chosen(BASELINES)
    OneCleaner = chosen(CLEANERS)
    OneDeduplicator = chosen(DEDUPLICATORS)
    OneExporter = chosen(EXPORTERS)
    OneFilter = chosen(FILTERS)
    OneMetric = chosen(METRICS)
    OneObjective = chosen(OBJECTIVES)
    OneScrubber = chosen(SCRUBBERS)
    OneTask = chosen(TASKS)


__all__ = [
    "LINE",
    "Architecture",
    "Baseline",
    "Batch",
    "Channel",
    "Cleaner",
    "Columns",
    "Deduplicator",
    "Examples",
    "Exporter",
    "Filter",
    "GateResult",
    "Goal",
    "Job",
    "Ledger",
    "Metric",
    "Need",
    "Objective",
    "OneArchitecture",
    "OneBaseline",
    "OneCleaner",
    "OneDeduplicator",
    "OneExporter",
    "OneFilter",
    "OneMetric",
    "OneObjective",
    "OneScrubber",
    "OneTask",
    "Piece",
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
    "Verdict",
    "Weighing",
]
