"""What a model is and what it is trained for: architectures, objectives, tasks.

Shape letters: N examples, T tokens of a packed batch, C classes.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import PrivateAttr

from bmtool.config.model import Component
from bmtool.contracts.kinds import ANSWERED_AS, INPUTS, LABELS
from bmtool.registry import METRICS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray
    from torch import Tensor, nn
    from transformers import PretrainedConfig

    from bmtool.contracts.batches import Batch, Columns, Examples
    from bmtool.contracts.rows import TokenizerTrainer


#: How a model reads: an encoder a text both ways, a decoder what is before; an encoder-decoder one text both ways while
#: it writes another.
Layout = Literal["encoder", "decoder", "encoder-decoder"]


class Architecture(Component):
    """A family of models that can be built from settings. Sizes are shorthands for its dimensions."""

    layout: ClassVar[Layout]
    objectives: ClassVar[tuple[str, ...]]
    """Names of the objectives that it can be pre-trained with."""
    detours: ClassVar[tuple[str, ...]] = ()
    """Further ones that a phase may have which isn't the last: what is learned so serves the others."""

    @abstractmethod
    def config(self, *, vocab_size: int, max_seq_length: int, special_ids: Mapping[str, int]) -> PretrainedConfig:
        """The transformers configuration; `special_ids` maps `pad`, `bos`, `eos`, ... to token ids."""


class Goal(Component):
    """What the loop trains for. The loop knows no term's and no goal's name."""

    auto_class: ClassVar[str]
    """The class of transformers that opens its checkpoint, such as `AutoModelForMaskedLM`."""

    @property
    @abstractmethod
    def metrics(self) -> tuple[str, ...]:
        """Metrics computed on validation; the first is the default for choosing the best checkpoint."""

    @property
    def gives(self) -> frozenset[str]:
        """Columns of outputs for metrics: what its own read, likelihoods of answers, probabilities of labels."""
        own = {column for name in self.metrics for column in METRICS.load(name).reads}
        likelihoods = {"nll", "targets"} if self.answers else set()
        return frozenset(own | likelihoods | ({"probabilities"} if self.answers in ("label", "labels") else set()))

    @property
    def answers(self) -> str:
        """What its answers are (`AnswerKind`); empty: no metric holds them against right ones."""
        return ""

    @property
    def target_share(self) -> float:
        """About how many targets a token has, for estimates; of an encoder-decoder's, how many are written."""
        return 1.0

    def suited(self, config: PretrainedConfig, tokenizer_folder: Path) -> Self:
        """The goal as a model with this configuration and tokenizer learns it; asked before anything else.

        The same one, unless models of different kinds learn it differently.

        Raises:
            ConfigError: such a model can't.
        """
        del config, tokenizer_folder
        return self

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

    def divisors(self, counts: Mapping[str, int]) -> Mapping[str, float]:
        """By what each term's sum over a window is divided, whose targets are `counts`: by their number.

        Unless terms are of tasks that share the window: then each has the share of it that its texts take.
        """
        return {term: max(1, count) for term, count in counts.items()}

    @abstractmethod
    def outputs(self, model: nn.Module, batch: Batch, examples: Examples) -> Columns:
        """Per-example results, in the order of `batch.rows`. Called without gradients."""

    def merged(self, outputs: Columns, num_rows: int) -> Columns:
        """Results of all examples as results of the split's `num_rows` rows, which `metrics` read.

        The same thing, unless an example is a part of a row, such as a window of a long text.
        """
        del num_rows
        return outputs


@dataclass(frozen=True)
class Weighing:
    """How much each label counts in the training loss of a task. Validation and evaluation weigh all alike."""

    label_smoothing: float = 0.0
    """This share of a label's probability is wanted for all labels alike."""
    class_weights: tuple[float, ...] | None = None
    """(C,) of each label, 1 in the mean over the training rows; None: all alike."""


class Objective(Goal):
    """A self-supervised goal: the text itself is the answer. Its examples are pieces of documents."""

    @property
    def gives(self) -> frozenset[str]:
        """Likelihoods and hits, and the bytes of the text."""
        return super().gives | {"nll", "targets", "hits", "bytes"}

    def unfit_tokenizer(self, trainer: TokenizerTrainer) -> str:
        """Why a tokenizer that is learned so can't serve it, as the end of a sentence that begins with it; or nothing.

        Known from its settings alone, before anything is made.
        """
        del trainer
        return ""

    def merged(self, outputs: Columns, num_rows: int) -> Columns:
        """Results of pieces summed over each document, whose row the column `document` says.

        Rows must be independent for a bootstrap, and pieces of one text aren't.
        """
        import numpy as np

        owner = outputs["document"]
        return {
            name: np.bincount(owner, weights=values, minlength=num_rows)
            for name, values in outputs.items()
            if name != "document"
        }


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
