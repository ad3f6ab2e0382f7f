"""What fine-tuning starts from and what it leaves: labelled rows, encoded, and a model with a head for them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from bmtool.contracts import DocumentTask, Weighing
from bmtool.data.dataset import open_dataset
from bmtool.data.examples.labelled import task_of
from bmtool.data.scoring.scores import evaluate_metrics, higher_is_better
from bmtool.data.tokenizing.tokenizers import load_tokenizer
from bmtool.errors import DataError, MissingInputError
from bmtool.models.building.build import bare_model, new_model, special_ids
from bmtool.models.files.checkpoint import open_and_complete, save_checkpoint
from bmtool.models.goals.supervised import class_weights
from bmtool.models.heads.parameters import begin_biases
from bmtool.train.jobs.shapes import shape_of, tokenizer_of
from bmtool.train.jobs.task_settings import check_labels, check_method, check_metric, check_validation
from bmtool.train.phases import Phase, require_room
from bmtool.train.selection import Selection

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tokenizers import Tokenizer
    from transformers import PretrainedConfig, PreTrainedModel

    from bmtool.artifacts.manifest import Artifact
    from bmtool.contracts import Columns, Examples, Job, Task
    from bmtool.data.dataset import Dataset
    from bmtool.stages.finetune import Config


@dataclass(frozen=True)
class Lesson:
    """Rows to learn a task from, and to choose the best weights by."""

    config: Config
    job: Job
    data: Artifact
    dataset: Dataset
    task: Task
    """As it is trained"""
    tokenizer_folder: Path
    parts: dict[str, Examples]
    """`train`, and `validation` if there is one"""

    @property
    def tasks(self) -> dict[str, Lesson]:
        """This one, which needs no name."""
        return {"": self}

    def phase(self) -> Phase:
        """All of training, as one phase."""

        def score(outputs: Columns) -> dict[str, float]:
            rows = self.task.merged(outputs, self.dataset["validation"].num_rows)
            return evaluate_metrics(self.task.metrics, rows, self.dataset.labels)

        return Phase(self.task, self.parts["train"], self.parts.get("validation"), training=self.config, score=score)

    def settled(self, config: Config) -> Lesson:
        """The same with these settings.

        Raises:
            ConfigError: a batch has no room for the longest example.
        """
        require_room("finetune", config, self.parts["train"])
        return replace(self, config=config)

    def selection(self) -> Selection | None:
        """By which metric the best weights are kept; None: there is nothing to choose by.

        Raises:
            ConfigError: the task isn't measured by the metric that the settings name.
        """
        wanted = self.config.metric_for_best_model
        metric = wanted or self.task.metrics[0]
        check_metric(self.task, metric)
        if "validation" not in self.parts:
            return None
        reason = "" if wanted else self.task.first_metric_reason
        return Selection(metric, higher_is_better(metric), self.config.early_stopping_patience, reason)

    def rates(self) -> dict[str, float]:
        """Learning rates of what isn't a part of the model itself: nothing."""
        return {}

    def model(self) -> PreTrainedModel:
        """The checkpoint with a head for the task, or a new model; new weights depend on the seed, biases also on the
        training rows."""
        labels, auto_class, seed = self.task.head_labels(self.dataset.labels), self.task.auto_class, self.job.seed
        if self.config.model is None:
            model, new = open_and_complete(self.job.inputs["from"].folder, auto_class, labels, seed=seed)
        else:
            settings = start_config(self.config, self.job, self.tokenizer_folder)
            model = new_model(settings, auto_class, labels, seed)
            new = frozenset(name for name, _ in model.named_parameters())
        if isinstance(self.task, DocumentTask) and model.config.pad_token_id is None:
            model.config.pad_token_id = _padding(self.tokenizer_folder)
        biases = self.task.first_biases(self.parts["train"])
        if biases is not None:
            begin_biases(model, new, biases)
        return model

    def bare_model(self) -> PreTrainedModel:
        """The same model without weights."""
        settings = start_config(self.config, self.job, self.tokenizer_folder)
        return bare_model(settings, self.task.auto_class, self.task.head_labels(self.dataset.labels))

    def save(self, folder: Path, model: PreTrainedModel, best: dict[str, Any] | None) -> None:
        """Write the trained model with all that is needed to use it into `folder`."""
        if isinstance(self.task, DocumentTask):
            model.config.problem_type = self.task.problem_type
        save_checkpoint(folder, model, self.tokenizer_folder, self._info(best))
        self.task.furnish(folder, self.config.max_seq_length)

    def _info(self, best: dict[str, Any] | None) -> dict[str, Any]:
        """What `bmtool.json` says: the model's task, and how its training rows were prepared."""
        prepared = self.data.manifest.config if self.data.manifest else {}
        return {
            "goal_kind": "task",
            "goal": self.task.model_dump(mode="json", exclude={"labels"}),
            "labels": list(self.dataset.labels),
            "max_seq_length": self.config.max_seq_length,
            "data_fingerprint": self.data.fingerprint,
            "metric": best["metric"] if best else None,
            "best": best,
            "columns": prepared.get("columns") or {},
            "clean": prepared.get("clean") or [],
            "list_separator": _list_separator(prepared),
        }

    def facts(self) -> dict[str, Any]:
        """What was learned from, for the summary."""
        return {
            "task": self.task.name(),
            "labels": list(self.dataset.labels),
            "rows": {name: self.dataset[name].num_rows for name in self.parts},
            "tokens_per_epoch": int(self.parts["train"].packed_lengths.sum()),
            "cut": {name: dict(examples.cut) for name, examples in self.parts.items()},
        }


def _padding(folder: Path) -> int | None:
    """What stands for no text: a decoder's head reads the last token that is something else."""
    ids = special_ids(load_tokenizer(folder), folder)
    return next((ids[role] for role in ("pad", "eos", "unk") if role in ids), None)


def _list_separator(prepared: Mapping[str, Any]) -> str | None:
    """What stands between the words of a field of CSV, if all sources agree."""
    found = {source.get("list_separator") for source in prepared.get("sources") or [] if source["type"] == "csv"}
    return found.pop() if len(found) == 1 else None


def open_lesson(config: Config, job: Job, *, name: str = "", metric: str | None = None) -> Lesson:
    """Open a dataset and encode its train and validation rows. The test split isn't touched.

    Args:
        config: the section.
        job: the dataset is its input `data`, or `data:NAME`.
        name: of the dataset, where there are several.
        metric: the one that the best weights are chosen by, if one is named.

    Raises:
        ConfigError: a setting needs a validation split, and there is none; or it doesn't fit the task.
        DataError: there are fewer than two labels, or a split has no rows.
        MissingInputError: the dataset has no task, or no tokenizer is where one should be.
    """
    data = job.inputs[f"data:{name}" if name else "data"]
    dataset = open_dataset(data.folder)
    folder = tokenizer_folder(job)
    task = task_of(dataset).suited(start_config(config, job, folder), folder)
    check_method(config, task)
    parts = _examples(config, task, dataset, load_tokenizer(folder), name or str(config.data))
    weighing = _weighing(config, task, parts["train"], dataset.labels)
    task = task.fitted(parts["train"]).weighed(weighing).watched(metric)
    return Lesson(config, job, data, dataset, task, folder, parts)


def start_config(config: Config, job: Job, tokenizer_folder: Path) -> PretrainedConfig:
    """The configuration of the checkpoint that goes on (for `--dry-run` it may not be made yet), or of a new model."""
    if config.model is None:
        return shape_of(job.inputs["from"])
    tokenizer = load_tokenizer(tokenizer_folder)
    return config.model.config(
        vocab_size=tokenizer.get_vocab_size(),
        max_seq_length=config.max_seq_length,
        special_ids=special_ids(tokenizer, tokenizer_folder),
    )


def _examples(config: Config, task: Task, dataset: Dataset, tokenizer: Tokenizer, name: str) -> dict[str, Examples]:
    """Train and validation rows, encoded."""
    check_validation(config, name, has_validation="validation" in dataset.splits)
    if task.has_labels and len(dataset.labels) < 2:
        raise DataError(f"{dataset.folder}: there is nothing to tell apart: the labels are {list(dataset.labels)}")
    parts: dict[str, Examples] = {}
    for split in [split for split in ("train", "validation") if split in dataset.splits]:
        if not dataset[split].num_rows:
            raise DataError(f"{dataset.folder}: the {split} split has no rows. Raise its share under 'split'")
        parts[split] = task.examples(dataset[split], tokenizer, config.max_seq_length)
    return parts


def tokenizer_folder(job: Job) -> Path:
    """Where the tokenizer is that rows are encoded by: with the checkpoint that goes on, or with a corpus.

    Raises:
        MissingInputError: it isn't there.
    """
    source = job.inputs["from" if "from" in job.inputs else "tokenizer"]
    folder = tokenizer_of(source)
    if folder is None:
        raise MissingInputError(f"{source.folder}: no tokenizer is here. finetune.tokenizer must name a corpus")
    return folder


def _weighing(config: Config, task: Task, train: Examples, labels: tuple[str, ...]) -> Weighing:
    """How labels count in the training loss, as far as the task has any.

    Raises:
        ConfigError: a weight is for a label that isn't there.
    """
    smoothing = config.label_smoothing if task.can_smooth else 0.0
    if config.class_weights is None or not task.has_labels:
        return Weighing(smoothing)
    check_labels(config, labels)
    wanted = None if config.class_weights == "balanced" else config.class_weights
    return Weighing(smoothing, class_weights(train.columns["references"], wanted, labels))
