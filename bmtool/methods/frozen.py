"""Leave the encoder as it is and train the head alone, on what the encoder makes of each text, computed once."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from bmtool.contracts import DocumentTask, Method, WrappedGoal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn
    from transformers import PreTrainedModel

    from bmtool.contracts import Batch, Columns, Examples, Goal, Job, Task
    from bmtool.train.phases import Pass, Phase


class Frozen(Method):
    """The head learns from features that are computed once, without dropout: an epoch costs next to nothing.

    So it takes many of them, such as 100. Its default rate is 8 times that of all weights: of five rates it lost least
    against the best one in the mean of four data sets, and 0.002 more than the least on the worst (docs/tasks.md).
    """

    idle = ("frozen_layers", "layerwise_lr_decay")
    rate_ratio = 8.0

    def unfit(self, task: Task) -> str:
        """It must answer each text with one row of logits."""
        if isinstance(task, DocumentTask):
            return ""
        return f"needs a task with one answer a text, and {task.name()} is none"

    def shaped(self, model: PreTrainedModel, job: Job) -> PreTrainedModel:
        """The model with its head alone to be trained."""
        from bmtool.train.weights.layers import freeze_backbone

        trained, all_weights = freeze_backbone(model)
        job.console.say(f"{trained:,} weights of the head are trained; {all_weights:,} stay as they are")
        return model

    def phases(self, phase: Phase, model: PreTrainedModel, job: Job) -> list[Phase]:
        """The same phase on features instead of texts."""
        from bmtool.train.inference.features import head_inputs

        started = time.perf_counter()
        splits = _splits(phase)
        read = {name: head_inputs(model, phase.goal, examples, job, name) for name, examples in splits.items()}
        texts, tokens = sum(map(len, splits.values())), sum(int(one.packed_lengths.sum()) for one in splits.values())
        job.console.say(f"the encoder has read {texts:,} texts of {tokens:,} tokens, once")
        encoded = {"texts": texts, "tokens": tokens, "seconds": round(time.perf_counter() - started, 3)}
        phase = replace(phase, train=read["train"], validation=read.get("validation"))
        return [replace(phase, goal=_OnFeatures(goal=phase.goal), counts={"encoded": encoded})]

    def foreseen(self, phase: Phase, model: PreTrainedModel, job: Job) -> tuple[list[Phase], list[Pass]]:
        """The encoder reads each text once; then features, of one number here, go through the head."""
        import numpy as np

        from bmtool.data.examples.labelled import with_columns
        from bmtool.train.phases import Pass

        del job
        width = model.config.hidden_size
        passes = [Pass(model, phase.goal, examples, width) for examples in _splits(phase).values()]
        train = with_columns(phase.train, {"features": np.zeros((len(phase.train), 1), np.float32)})
        return [replace(phase, goal=_OnFeatures(goal=phase.goal), train=train)], passes


def _splits(phase: Phase) -> dict[str, Examples]:
    """What goes through the encoder."""
    return {"train": phase.train} | ({"validation": phase.validation} if phase.validation is not None else {})


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
        from bmtool.models.families.packed import logits_from

        dtype = next(parameter.dtype for parameter in model.parameters() if parameter.requires_grad)
        return logits_from(model, batch.targets["features"].to(dtype))
