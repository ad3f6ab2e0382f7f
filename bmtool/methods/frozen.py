"""Leave the encoder as it is and train the head alone, on what the encoder makes of each text, computed once."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from bmtool.contracts import DocumentTask, Method, WrappedGoal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn
    from transformers import PreTrainedModel

    from bmtool.contracts import Batch, Columns, Examples, Goal, Job, Task
    from bmtool.train.phases import Phase


class Frozen(Method):
    """The head learns from features that are computed once, without dropout: an epoch costs next to nothing.

    So it takes many of them, and higher rates than all weights together do: about 1e-2 for 100 epochs.
    """

    idle = ("frozen_layers", "layerwise_lr_decay")

    def unfit(self, task: Task) -> str:
        """It must answer each text with one row of logits."""
        if isinstance(task, DocumentTask):
            return ""
        return f"needs a task with one answer a text, and {task.name()} is none"

    def shaped(self, model: PreTrainedModel, job: Job) -> PreTrainedModel:
        """The model with its head alone to be trained."""
        from bmtool.train.layers import freeze_backbone

        trained, all_weights = freeze_backbone(model)
        job.console.say(f"{trained:,} weights of the head are trained; {all_weights:,} stay as they are")
        return model

    def phases(self, phase: Phase, model: PreTrainedModel, job: Job) -> list[Phase]:
        """The same phase on features instead of texts."""
        from bmtool.train.features import head_inputs

        goal = _OnFeatures(goal=phase.goal)
        train = head_inputs(model, phase.goal, phase.train, job, "train")
        validation = phase.validation and head_inputs(model, phase.goal, phase.validation, job, "validation")
        return [replace(phase, goal=goal, train=train, validation=validation)]


class _OnFeatures(WrappedGoal):
    """A task whose examples have the column `features` (N, D) instead of tokens."""

    auto_class = "AutoModelForSequenceClassification"

    def measured(self) -> Goal:
        """This one: validation reads features, too."""
        return self

    def collate(self, examples: Examples, rows: NDArray[np.int64], rng: np.random.Generator) -> Batch:
        """The task's targets, and features in place of tokens: none goes through the encoder any more."""
        import torch

        batch = self.goal.collate(examples, rows, rng)
        targets = {**batch.targets, "features": torch.from_numpy(examples.columns["features"][rows])}
        return replace(
            batch,
            input_ids=batch.input_ids[:, :0],
            position_ids=batch.position_ids[:, :0],
            cu_seq_lens=torch.zeros_like(batch.cu_seq_lens),
            targets=targets,
        )

    def losses(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """The task's own."""
        return cast("DocumentTask", self.goal).losses_of(self._logits(model, batch), batch)

    def outputs(self, model: nn.Module, batch: Batch, examples: Examples) -> Columns:
        """The task's own."""
        logits: Any = self._logits(model, batch).cpu().numpy()
        return cast("DocumentTask", self.goal).read(logits, batch, examples)

    @staticmethod
    def _logits(model: nn.Module, batch: Batch) -> Tensor:
        from bmtool.models.packed import logits_from

        dtype = next(parameter.dtype for parameter in model.parameters() if parameter.requires_grad)
        return logits_from(model, batch.targets["features"].to(dtype))
