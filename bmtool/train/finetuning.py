"""What fine-tuning starts from: labelled rows, encoded, and a model with a head for them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bmtool.contracts import Weighing
from bmtool.data.dataset import open_dataset
from bmtool.data.labelled import task_of
from bmtool.data.scores import evaluate_metrics
from bmtool.data.tokenizers import load_tokenizer
from bmtool.errors import ConfigError, DataError, MissingInputError
from bmtool.models.build import bare_model, new_model, special_ids
from bmtool.models.checkpoint import open_config, open_model
from bmtool.models.supervised import class_weights
from bmtool.train.phases import Phase

if TYPE_CHECKING:
    from pathlib import Path

    from tokenizers import Tokenizer
    from transformers import PretrainedConfig, PreTrainedModel

    from bmtool.contracts import Columns, Examples, Job, Task
    from bmtool.data.dataset import Dataset
    from bmtool.stages.finetune import Config


@dataclass(frozen=True)
class Lesson:
    """Rows to learn a task from, and to choose the best weights by."""

    dataset: Dataset
    task: Task
    tokenizer_folder: Path
    parts: dict[str, Examples]
    """`train`, and `validation` if there is one"""

    @property
    def train(self) -> Examples:
        """The rows to learn from."""
        return self.parts["train"]

    @property
    def validation(self) -> Examples | None:
        """The rows to choose by."""
        return self.parts.get("validation")

    def phase(self, config: Config, task: Task) -> Phase:
        """All of training, as one phase; `task` is the lesson's, as it is trained."""

        def score(outputs: Columns) -> dict[str, float]:
            rows = task.merged(outputs, self.dataset["validation"].num_rows)
            return evaluate_metrics(task.metrics, rows, self.dataset.labels)

        return Phase(task, self.train, self.validation, training=config, score=score)


def open_lesson(config: Config, job: Job) -> Lesson:
    """Open the dataset and encode its train and validation rows. The test split isn't touched.

    Raises:
        ConfigError: a setting needs a validation split, and there is none.
        DataError: there are fewer than two labels, or a split has no rows.
        MissingInputError: the dataset has no task, or no tokenizer is where one should be.
    """
    dataset = open_dataset(job.inputs["data"].folder)
    folder = _tokenizer_folder(job)
    task = task_of(dataset).suited(_new_config(config, folder) or open_config(job.inputs["from"].folder), folder)
    parts = _examples(config, task, dataset, load_tokenizer(folder))
    _check_room(config, parts["train"])
    return Lesson(dataset, task.fitted(parts["train"]), folder, parts)


def _check_room(config: Config, train: Examples) -> None:
    """A batch holds the longest example, which may be longer than a text: a source and its target."""
    longest = int(train.packed_lengths.max(initial=0))
    if longest > config.room:
        raise ConfigError(
            f"finetune.per_device_batch_tokens must hold the longest example, of {longest} tokens with all its texts, "
            f"got {config.room}"
        )


def _examples(config: Config, task: Task, dataset: Dataset, tokenizer: Tokenizer) -> dict[str, Examples]:
    """Train and validation rows, encoded. The test split isn't touched.

    Raises:
        ConfigError: a setting needs a validation split, and there is none.
        DataError: there are fewer than two labels, or a split has no rows.
    """
    if config.needs_validation and "validation" not in dataset.splits:
        raise ConfigError(config.no_validation(str(config.data)))
    if task.has_labels and len(dataset.labels) < 2:
        raise DataError(f"{dataset.folder}: there is nothing to tell apart: the labels are {list(dataset.labels)}")
    parts: dict[str, Examples] = {}
    for name in [name for name in ("train", "validation") if name in dataset.splits]:
        if not dataset[name].num_rows:
            raise DataError(f"{dataset.folder}: the {name} split has no rows. Raise its share under 'split'")
        parts[name] = task.examples(dataset[name], tokenizer, config.max_seq_length)
    return parts


def _tokenizer_folder(job: Job) -> Path:
    if "from" in job.inputs:
        return job.inputs["from"].folder
    corpus = job.inputs["tokenizer"].folder
    folder = open_dataset(corpus).tokenizer_folder
    if folder is None:
        raise MissingInputError(f"{corpus}: no tokenizer is here. finetune.tokenizer must name a corpus")
    return folder


def open_model_for(lesson: Lesson, config: Config, job: Job) -> PreTrainedModel:
    """The checkpoint with a head for the task, or a new model; new weights depend on the seed alone."""
    labels, auto_class = lesson.task.head_labels(lesson.dataset.labels), lesson.task.auto_class
    settings = _new_config(config, lesson.tokenizer_folder)
    if settings is None:
        return open_model(job.inputs["from"].folder, auto_class, labels, seed=job.seed)
    return new_model(settings, auto_class, labels, job.seed)


def bare_model_for(lesson: Lesson, config: Config, job: Job) -> PreTrainedModel:
    """The same model without weights."""
    settings = _new_config(config, lesson.tokenizer_folder) or open_config(job.inputs["from"].folder)
    return bare_model(settings, lesson.task.auto_class, lesson.task.head_labels(lesson.dataset.labels))


def _new_config(config: Config, tokenizer_folder: Path) -> PretrainedConfig | None:
    """What a new model is built from; None where a checkpoint goes on."""
    if config.model is None:
        return None
    tokenizer = load_tokenizer(tokenizer_folder)
    return config.model.config(
        vocab_size=tokenizer.get_vocab_size(),
        max_seq_length=config.max_seq_length,
        special_ids=special_ids(tokenizer, tokenizer_folder),
    )


def weighing_of(lesson: Lesson, config: Config) -> Weighing:
    """How labels count in the training loss.

    Raises:
        ConfigError: the task has no labels, or a weight is for a label that isn't there.
    """
    unfit = config.unfit_weighing(lesson.task)
    if unfit:
        raise ConfigError(f"finetune.{unfit}: {lesson.task.name()} has no labels to weigh")
    if config.class_weights is None:
        return Weighing(config.label_smoothing)
    wanted = None if config.class_weights == "balanced" else config.class_weights
    return Weighing(
        config.label_smoothing, class_weights(lesson.train.columns["references"], wanted, lesson.dataset.labels)
    )
