"""What labelled rows teach a model: tasks.

Shape letters: N examples, T tokens of a packed batch, C classes.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, Self

from pydantic import PrivateAttr

from bmtool.contracts.goals import Goal, Layout
from bmtool.contracts.kinds import ANSWERED_AS, INPUTS, LABELS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray
    from torch import Tensor

    from bmtool.contracts.batches import Batch, Columns, Examples


@dataclass(frozen=True)
class Weighing:
    """How much each label counts in the training loss of a task. Validation and evaluation weigh all alike."""

    label_smoothing: float = 0.0
    """This share of a label's probability is wanted for all labels alike."""
    class_weights: tuple[float, ...] | None = None
    """(C,) of each label, 1 in the mean over the training rows; None: all alike."""


class Task(Goal):
    """A supervised goal on labelled rows. To add one: a file in `tasks/`, its test, a config."""

    labels: tuple[str, ...] | None = None
    """The labels in the order of their ids; else the sorted distinct values of all splits."""

    examples_in_batch: ClassVar[int] = 32
    """Of mean length, where the settings don't say how large batches are."""
    _weighing: Weighing = PrivateAttr(default=Weighing())

    @property
    @abstractmethod
    def columns(self) -> Mapping[str, str]:
        """Columns read, name to kind (`bmtool.contracts.kinds`); the settings may decide."""

    @property
    def first_metric_reason(self) -> str:
        """Why the first of `metrics` is the first one, for the log."""
        return f"the default of {self.name()}"

    def of_kind(self, *kinds: str) -> list[str]:
        """The columns of these kinds, in order."""
        return [name for name, kind in self.columns.items() if kind in kinds]

    @property
    def answers(self) -> str:
        """As the column that holds the right ones says."""
        return next((ANSWERED_AS[kind] for kind in self.columns.values() if kind in ANSWERED_AS), "")

    @property
    def layouts(self) -> tuple[Layout, ...]:
        """The layouts of models that can learn it."""
        return ("encoder", "decoder")

    @property
    def asked(self) -> Mapping[str, str]:
        """The columns that a new row must have to be answered, name to kind."""
        return {name: self.columns[name] for name in self.of_kind(*INPUTS)}

    @property
    def has_labels(self) -> bool:
        """Whether answers are of a fixed set of labels."""
        return bool(self.of_kind(*LABELS))

    @property
    def can_smooth(self) -> bool:
        """Whether answers are chosen among others, of labels or of tokens, so that each may get a share."""
        return self.has_labels or bool(self.of_kind("target", "messages"))

    def head_labels(self, labels: tuple[str, ...]) -> tuple[str, ...] | None:
        """A name for each of the C logits of the head; None: the class's own head is used as it is."""
        return labels

    def limit(self, reason: str, max_seq_length: int) -> str:
        """The setting by which something was cut, with its value, by what is counted of it, such as `texts_cut`."""
        del reason
        return f"max_seq_length {max_seq_length}"

    def fitted(self, train: Examples) -> Self:
        """The task with what it has to know of the training rows beforehand, such as their mean or kind of tags.

        It is kept as a setting of the checkpoint's task; no setting of a dataset.
        """
        del train
        return self

    def first_biases(self, train: Examples) -> NDArray[np.float64] | None:
        """Where the biases (C,) of a new head begin, by the training rows; None: where the class begins them."""
        del train
        return None

    def watched(self, metric: str | None) -> Task:
        """The task as it is measured on validation while training, so that `metric`, if one is named, is known.

        The same one, unless its answers cost much more than its loss. Its own first metric is the default there.
        """
        del metric
        return self

    def weighed(self, weighing: Weighing) -> Self:
        """The same task with another weighing of labels in its losses; no setting of the dataset, but of training."""
        task = self.model_copy()
        task._weighing = weighing  # noqa: SLF001  its own
        return task

    def furnish(self, folder: Path, max_seq_length: int) -> None:
        """Write into a checkpoint's folder what else others need to know in order to use it; most need nothing."""
        del folder, max_seq_length

    @abstractmethod
    def present(self, outputs: Columns, labels: tuple[str, ...]) -> pa.Table:
        """What `predict` writes for each row, such as `label` and `score`."""


class OnePassTask(Task):
    """A task whose answers are read from the array that one forward pass gives: a graph can give it, too."""

    @abstractmethod
    def read(self, values: NDArray[np.float32], batch: Batch, examples: Examples) -> Columns:
        """Turn logits, (N, C) or (T, C), or vectors of documents, into results per example."""


class HeadTask(OnePassTask):
    """A task whose answers follow from one row of logits per document or token."""

    head: ClassVar[Literal["document", "token"]]
    """Whether the head gives a row of logits per document, (N, C), or per token, (T, C)."""


class VectorTask(OnePassTask):
    """A task whose answers follow from one vector of length 1 per document; an example may have several of these."""

    auto_class: ClassVar = "AutoModel"

    pooling: Literal["mean", "cls"] = "mean"
    """The mean of a text's last hidden states, or the first of them."""

    def head_labels(self, labels: tuple[str, ...]) -> None:
        """No head."""


class DocumentTask(HeadTask):
    """A task whose loss, too, follows from one row of logits per document, whatever they come from."""

    head: ClassVar = "document"

    @property
    def problem_type(self) -> Literal["single_label_classification", "multi_label_classification", "regression"]:
        """What transformers calls it: by this its pipelines decide what logits mean."""
        if self.answers == "number":
            return "regression"
        return "multi_label_classification" if self.answers == "labels" else "single_label_classification"

    @abstractmethod
    def losses_of(self, logits: Tensor, batch: Batch) -> dict[str, Tensor]:
        """The sum of each loss term over the documents of a batch, from float32 logits (N, C)."""

    @abstractmethod
    def divergence(self, logits: Tensor, other: Tensor, temperature: float) -> Tensor:
        """How far answers are from another model's, both as logits (N, C) of this task, summed over documents.

        What differs between labels is divided by `temperature` first; numbers have none.
        """

    def translated(self, logits: NDArray[np.float32], other: Self) -> NDArray[np.float32]:
        """Logits (N, C) that mean to this task what `logits` mean to another one of its kind."""
        del other
        return logits
