"""Learn from a larger model's answers as well as from the labels, for a small model that is nearly as good."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, cast

from pydantic import Field, PositiveFloat, PositiveInt

from bmtool.config.model import HOW
from bmtool.config.references import ModelRef, Reference
from bmtool.contracts import DocumentTask, Method, Need, WrappedGoal
from bmtool.errors import ConfigError, DataError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray
    from torch import Tensor, nn
    from transformers import PreTrainedModel

    from bmtool.contracts import Batch, Examples, Job, Task
    from bmtool.runner.pipeline import Pipeline
    from bmtool.train.phases import Pass, Phase


class Distillation(Method):
    """A fine-tuned teacher answers each training row once; the loss is the distance to its answers, and the task's own.

    The teacher reads texts with its own tokenizer, so that any of the same task serves. Labels are matched by name.
    """

    from_: Annotated[ModelRef, HOW] = Field(alias="from")
    """The teacher: a checkpoint that was fine-tuned for the same task and labels."""
    temperature: PositiveFloat = 2.0
    """Logits are divided by it, so that it is seen how likely the teacher thinks labels that it wouldn't give."""
    weight: Annotated[float, Field(gt=0, le=1)] = 0.5
    """How much of the loss is the distance to the teacher; the rest is the task's own."""
    layers: PositiveInt | None = None
    """So many layers are kept of the model that training starts from, evenly from the first to the last; that is the
    teacher, unless `finetune.from` is another."""

    @property
    def start(self) -> Reference | None:
        """The teacher itself, some of whose layers become the student (DistilBERT, Sanh et al. 2019, section 3)."""
        return None if self.layers is None else self.from_

    def needs(self, pipeline: Pipeline, section: Any) -> dict[str, Need]:
        """The teacher."""
        del pipeline, section
        return {"teacher": Need("checkpoint", self.from_)}

    def unfit(self, task: Task) -> str:
        """It must answer each text with one row of logits."""
        if not isinstance(task, DocumentTask):
            return f"needs a task with one answer a text, and {task.name()} is none"
        if task.of_kind("number") and "temperature" in self.model_fields_set:
            return "has no use for a temperature where answers are numbers"
        return ""

    def shaped(self, model: PreTrainedModel, job: Job) -> PreTrainedModel:
        """The model with some of its layers."""
        from bmtool.train.weights.layers import keep_layers

        if self.layers is None:
            return model
        kept = ", ".join(str(place + 1) for place in keep_layers(model, self.layers))
        job.console.say(f"of the layers the student has {kept}")
        return model

    def phases(self, phase: Phase, model: PreTrainedModel, job: Job) -> list[Phase]:
        """The same phase, with the teacher's answers beside the labels."""
        from bmtool.data.examples.labelled import with_columns

        del model
        task = cast("DocumentTask", phase.goal)
        logits = _answers(task, phase.train.labels, job)
        train = with_columns(phase.train, {"teacher": logits})
        return [replace(phase, goal=_Distilled(goal=task, method=self), train=train)]

    def foreseen(self, phase: Phase, model: PreTrainedModel, job: Job) -> tuple[list[Phase], list[Pass]]:
        """The teacher reads each training row once; the student's steps are as without it."""
        from bmtool.data.dataset import open_dataset
        from bmtool.data.tokenizing.tokenizers import load_tokenizer
        from bmtool.models.building.build import bare_model
        from bmtool.models.files.checkpoint import open_config, read_info
        from bmtool.train.phases import Pass

        del model
        task, labels = cast("DocumentTask", phase.goal), phase.train.labels
        folder, _, known = _teacher(task, labels, job)
        teacher = bare_model(open_config(folder), task.auto_class, task.head_labels(known))
        rows = open_dataset(job.inputs["data"].folder)["train"]
        examples = task.examples(rows, load_tokenizer(folder), int(read_info(folder)["max_seq_length"]))
        return [phase], [Pass(teacher, task, examples, max(1, len(labels)))]


class _Distilled(WrappedGoal):
    """A task that is learned from the column `teacher` of its examples, too: logits (N, C) in float32."""

    auto_class = "AutoModelForSequenceClassification"

    method: Distillation

    def collate(self, examples: Examples, rows: NDArray[np.int64], rng: np.random.Generator) -> Batch:
        """The task's batch, with the teacher's logits among its targets."""
        import torch

        batch = self.goal.collate(examples, rows, rng)
        targets = {**batch.targets, "teacher": torch.from_numpy(examples.columns["teacher"][rows])}
        return replace(batch, targets=targets, counts={"distillation": len(rows)})

    def losses(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """Distance to the teacher and the task's own loss, in one term: each is asked of a document once."""
        import torch

        from bmtool.models.families.packed import document_logits

        task, weight = cast("DocumentTask", self.goal), self.method.weight
        logits = document_logits(model, batch)
        distance = task.divergence(logits, batch.targets["teacher"], self.method.temperature)
        own = torch.stack(list(task.losses_of(logits, batch).values())).sum()
        return {"distillation": weight * distance + (1 - weight) * own}


def _answers(task: DocumentTask, labels: tuple[str, ...], job: Job) -> NDArray[np.float32]:
    """The teacher's logits for each training row, (N, C), as logits of the student's task, in the order of its labels.

    Raises:
        ConfigError, DataError: see `_teacher`.
    """
    import numpy as np

    from bmtool.data.dataset import open_dataset
    from bmtool.train.inference.apply import bare_logits

    folder, teacher, known = _teacher(task, labels, job)
    order = [known.index(label) for label in labels]
    split = open_dataset(job.inputs["data"].folder)["train"]
    logits = bare_logits(folder, teacher, split, job)
    return np.ascontiguousarray(task.translated(logits[:, order] if labels else logits, teacher), dtype=np.float32)


def _teacher(task: DocumentTask, labels: tuple[str, ...], job: Job) -> tuple[Path, DocumentTask, tuple[str, ...]]:
    """Where the teacher is, what it learned, and the labels that it knows.

    Raises:
        ConfigError: it was trained for another task.
        DataError: it has other labels.
    """
    from bmtool.models.files.checkpoint import read_info
    from bmtool.models.files.opening import task_of

    folder = job.inputs["teacher"].folder
    info = read_info(folder)
    teacher, known = task_of(folder, info), tuple(info["labels"])
    if not isinstance(teacher, type(task)) or teacher.columns != task.columns:
        what = f"the teacher learned {_of(teacher)}, and here is {_of(task)}"
        raise ConfigError(f"finetune.method.from: {folder}: {what}")
    if set(known) != set(labels):
        raise DataError(f"{folder}: the teacher's labels are {', '.join(known)}, and the data has {', '.join(labels)}")
    return folder, teacher, known


def _of(task: Any) -> str:
    return f"{task.name()} of {', '.join(task.columns)}"
