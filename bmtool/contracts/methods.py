"""How a task is learned: from labels alone, from another model's answers too, through a few weights of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from bmtool.config.model import Component
from bmtool.contracts.goals import Goal

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn
    from transformers import PreTrainedModel

    from bmtool.config.references import Reference
    from bmtool.contracts.batches import Batch, Columns, Examples
    from bmtool.contracts.stages import Job, Need
    from bmtool.contracts.tasks import Task
    from bmtool.runner.pipeline import Pipeline
    from bmtool.train.phases import Pass, Phase


class Method(Component):
    """A way to learn a task; each verb does nothing until a method needs it.

    `finetune` calls `shaped` on the model it opened, `phases` for what is trained, and `finished` when it has been.
    `--dry-run` calls `shaped` and `foreseen`. A method that gives other phases says what they take in `foreseen`, too.
    """

    idle: ClassVar[tuple[str, ...]] = ()
    """Settings of the finetune section that would have no effect."""
    rate_ratio: ClassVar[float] = 1.0
    """How many times the default rate of training all weights it takes by default."""

    @property
    def start(self) -> Reference | None:
        """The checkpoint to start from where the section names none."""
        return None

    def needs(self, pipeline: Pipeline, section: Any) -> dict[str, Need]:
        """Inputs by role besides those of the finetune section, of one seed, that it stands in; see `job.inputs`."""
        del pipeline, section
        return {}

    def unfit(self, task: Task) -> str:
        """Why the task can't be learned so, as the end of a sentence that begins with the method's name; or nothing."""
        del task
        return ""

    def shaped(self, model: PreTrainedModel, job: Job) -> PreTrainedModel:
        """The model as it is trained; called also for one without weights, on torch's meta device.

        Raises:
            ConfigError: the model can't be learned with so.
        """
        del job
        return model

    def phases(self, phase: Phase, model: PreTrainedModel, job: Job) -> list[Phase]:
        """What is trained, made of the one phase that learns the task itself."""
        del model, job
        return [phase]

    def foreseen(self, phase: Phase, model: PreTrainedModel, job: Job) -> tuple[list[Phase], list[Pass]]:
        """What `phases` would give, found without running a model, and what it would let a model read for that.

        The phases have as many examples as those, of the same lengths; what models say of them is missing. `model` has
        no weights, and inputs that are made on the way, such as teachers, may be missing in `job.inputs`.
        """
        del model, job
        return [phase], []

    def finished(self, model: PreTrainedModel) -> PreTrainedModel:
        """The trained model as the plain one of its class that is saved."""
        return model


class WrappedGoal(Goal):
    """A goal that is learned in another way, and measured as it is by itself."""

    goal: Goal

    @property
    def metrics(self) -> tuple[str, ...]:
        """The goal's own."""
        return self.goal.metrics

    def examples(self, split: Any, tokenizer: Any, max_seq_length: int) -> Examples:
        """The goal's own."""
        return self.goal.examples(split, tokenizer, max_seq_length)

    def collate(self, examples: Examples, rows: NDArray[np.int64], rng: np.random.Generator) -> Batch:
        """The goal's own."""
        return self.goal.collate(examples, rows, rng)

    def measured(self) -> Goal:
        """The goal itself."""
        return self.goal.measured()

    def losses(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """The goal's own."""
        return self.goal.losses(model, batch)

    def divisors(self, counts: Mapping[str, int]) -> Mapping[str, float]:
        """The goal's own."""
        return self.goal.divisors(counts)

    def outputs(self, model: nn.Module, batch: Batch, examples: Examples) -> Columns:
        """The goal's own."""
        return self.goal.outputs(model, batch, examples)

    def merged(self, outputs: Columns, num_rows: int) -> Columns:
        """The goal's own."""
        return self.goal.merged(outputs, num_rows)
