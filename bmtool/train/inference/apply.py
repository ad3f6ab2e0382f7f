"""Open a saved checkpoint and let it answer a split: what evaluation measures is what lies on the disk."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bmtool.data.examples.labelled import with_labels
from bmtool.data.examples.targets import answers_cut
from bmtool.data.tokenizing.tokenizers import load_tokenizer
from bmtool.errors import DataError
from bmtool.models.decoding.writing import Writing
from bmtool.models.files.checkpoint import INFO, open_config, open_model, read_info
from bmtool.models.files.task_folders import task_folders
from bmtool.models.goals.supervised import head_logits
from bmtool.train.inference.predict import BATCH_TOKENS, run_goal
from bmtool.train.inference.reading import Readout, read_once
from bmtool.train.machine.device import set_up
from bmtool.train.machine.world import World
from bmtool.train.watching.monitor import METRICS_LOG, read_log

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    import torch
    from numpy.typing import NDArray

    from bmtool.contracts import Batch, Columns, DocumentTask, Examples, Goal, Job
    from bmtool.data.dataset import Split
    from bmtool.models.files.inference import Rows


@dataclass(frozen=True)
class Answers:
    """What a checkpoint says about a split."""

    examples: Examples
    outputs: Columns
    """A row for each row of the split"""
    labels: tuple[str, ...]
    """The checkpoint's own labels, in the order of their ids; () for an objective."""


def run_checkpoint(
    folder: Path, goal: Goal, split: Split | Rows, job: Job, *, labels: tuple[str, ...] | None = None
) -> Answers:
    """Open the checkpoint in `folder` in float32 and run `goal` over `split`; the split's labels are mapped by name.

    Raises:
        DataError: the split has labels that the checkpoint doesn't know, or `labels` are given and aren't its labels.
    """
    own = tuple(read_info(folder)["labels"])
    if labels is not None and own != labels:
        raise DataError(f"{folder}: the labels are {', '.join(own)}, and not {', '.join(labels)}")
    goal = goal.suited(open_config(folder), folder)
    model, examples = _opened(folder, goal, split, job)
    if own:
        examples = with_labels(examples, own)
    outputs = run_goal(model, goal, examples, BATCH_TOKENS, job.console, label=f"evaluating {split.name}")
    examples = replace(examples, cut={**examples.cut, **answers_cut(outputs)})
    return Answers(examples, goal.merged(outputs, split.num_rows), own)


def _opened(folder: Path, goal: Goal, split: Split | Rows, job: Job) -> tuple[torch.nn.Module, Examples]:
    """The checkpoint on its device, in float32, and the split as it reads it."""
    world = World.current()
    device, choices = set_up(job.runtime, world.local_rank, world.local_size)
    job.console.detail(", ".join(f"{name} {value}" for name, value in choices.items()))
    model: torch.nn.Module = open_model(folder, goal.auto_class)
    model.to(device)
    length = int(read_info(folder)["max_seq_length"])
    if isinstance(goal, Writing) and not (folder / INFO).is_file():
        length = goal.prompt_room(length)
    return model, goal.examples(split, load_tokenizer(folder), length)


def bare_logits(folder: Path, task: DocumentTask, split: Split | Rows, job: Job) -> NDArray[np.float32]:
    """What the head of the checkpoint in `folder`, which learned `task`, gives for each row: (N, C) in float32.

    Several processes of a run share the rows out, and each gets all.
    """
    goal = Readout(goal=task, read=_logits)
    model, examples = _opened(folder, goal, split, job)
    return read_once(model, model.state_dict(), goal, examples, job, label=f"evaluating {split.name}")


def _logits(model: torch.nn.Module, batch: Batch) -> NDArray[np.float32]:
    return head_logits("document", model, batch)


def loss_curves(folder: Path) -> dict[str, list[tuple[float, float]]]:
    """The losses in a checkpoint's log: `train` and `validation`, (step, nats) each; empty for a foreign checkpoint.

    One of several tasks has its own validation, and the loss of all tasks.
    """
    path, loss = folder / METRICS_LOG, "loss"
    if task_folders(folder.parent).get(folder.name) == folder:
        path, loss = folder.parent / METRICS_LOG, f"{folder.name}.loss"
    lines = read_log(path) if path.is_file() else []
    train = [(line["step"], line["loss"]) for line in lines if line["kind"] == "train"]
    validation = [(line["step"], line["metrics"].get(loss)) for line in lines if line["kind"] == "validation"]
    curves = {"train": train, "validation": validation}
    return {name: [(step, loss) for step, loss in points if loss is not None] for name, points in curves.items()}
