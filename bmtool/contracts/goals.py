"""What a model is and what it is trained for: architectures, goals, objectives.

Shape letters: N examples, T tokens of a packed batch, C classes.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from bmtool.config.model import Component
from bmtool.registry import METRICS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    import numpy as np
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
