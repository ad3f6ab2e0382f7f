"""Tasks that are learned together: an encoder for all of them, a head for each.

Rows of each task are encoded by the task itself. A batch is of one task, and goes through the model of that task, whose
encoder is the same module in all of them (`bmtool.models.heads.several_heads`).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import torch

from bmtool.artifacts.files import write_json
from bmtool.contracts import Examples, Goal, WrappedGoal
from bmtool.data.scoring.scores import MEAN_OF_TASKS, higher_is_better, share_of_perfect
from bmtool.models.files.task_folders import INFO, TASKS_KEY
from bmtool.models.heads.several_heads import SeveralHeads
from bmtool.train.jobs.defaults import FINETUNE_RATE, with_batches, with_rate
from bmtool.train.jobs.finetuning import open_lesson, start_config, tokenizer_folder
from bmtool.train.jobs.task_settings import check_metric, check_weighing
from bmtool.train.order.mixture import TaskMixture
from bmtool.train.order.plan import generator
from bmtool.train.phases import Phase
from bmtool.train.selection import Selection

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray
    from torch import Tensor, nn

    from bmtool.contracts import Batch, Columns, Job
    from bmtool.methods.multi_task import MultiTask
    from bmtool.stages.finetune import Config
    from bmtool.train.jobs.finetuning import Lesson

#: The learning rate of weights that are learned. AdamW moves a number by about its rate in a step, and the logarithm of
#: a variance has units to go, in some hundreds of steps.
_WEIGHTS_RATE = 1e-2

#: So many examples of a task are packed to see how many tokens it has for each target.
_SAMPLE = 1000


class TaskOf(WrappedGoal):
    """One of the tasks, for a model that has several heads."""

    auto_class = "AutoModel"

    task: str

    def measured(self) -> TaskOf:
        """The task as it is measured."""
        return TaskOf(goal=self.goal.measured(), task=self.task)

    def losses(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """By the task's own head."""
        return self.goal.losses(cast("SeveralHeads", model).of(self.task), batch)

    def outputs(self, model: nn.Module, batch: Batch, examples: Examples) -> Columns:
        """By the task's own head."""
        return self.goal.outputs(cast("SeveralHeads", model).of(self.task), batch, examples)


class SeveralTasks(Goal):
    """All of the tasks: the mean of their losses, by the share of tokens that each has in a step, times its weight."""

    auto_class = "AutoModel"

    tasks: dict[str, TaskOf]
    weights: dict[str, float] | None
    """Of each task's loss; None: they are learned"""
    tokens: dict[str, dict[str, float]]
    """Of each task, for each of its terms: how many tokens there are for a target"""

    @property
    def metrics(self) -> tuple[str, ...]:
        """Those of all tasks."""
        return tuple(f"{name}.{metric}" for name, task in self.tasks.items() for metric in task.metrics)

    def examples(self, split: Any, tokenizer: Any, max_seq_length: int) -> Examples:
        """Never asked for."""
        del split, tokenizer, max_seq_length
        raise AssertionError("each task encodes rows of its own")

    def collate(self, examples: Examples, rows: NDArray[np.int64], rng: np.random.Generator) -> Batch:
        """A batch of the one task that the examples are of; terms are called `TASK.TERM`."""
        start = 0
        for name, part in examples.parts.items():
            if start <= rows.min() and rows.max() < start + len(part):
                batch = self.tasks[name].collate(part, rows - start, rng)
                counts = {f"{name}.{term}": count for term, count in batch.counts.items()}
                return replace(batch, rows=rows, counts=counts, task=name)
            start += len(part)
        raise AssertionError("a batch has examples of two tasks")

    def losses(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        """The task's own, weighed. With learned weights as of Kendall et al. 2018, "Multi-task learning using
        uncertainty", equation 10: the loss over a variance, and half the variance's logarithm for each target.
        """
        name = batch.task
        sums = {f"{name}.{term}": value for term, value in self.tasks[name].losses(model, batch).items()}
        if self.weights is not None:
            return {term: value * self.weights[name] for term, value in sums.items()}
        heads = cast("SeveralHeads", model)
        log_variance = cast("Tensor", heads.log_variances)[heads.names.index(name)]
        return {
            term: value * torch.exp(-log_variance) + 0.5 * log_variance * batch.counts[term]
            for term, value in sums.items()
        }

    def divisors(self, counts: Mapping[str, int]) -> Mapping[str, float]:
        """A term is divided by its targets, and counts by its task's share of the tokens that all targets stand for."""
        there = {
            f"{name}.{term}": counts[f"{name}.{term}"] * tokens
            for name, terms in self.tokens.items()
            for term, tokens in terms.items()
            if counts.get(f"{name}.{term}")
        }
        of_tasks: dict[str, float] = {}
        for term, tokens in there.items():
            name = term.partition(".")[0]
            of_tasks[name] = max(of_tasks.get(name, 0.0), tokens)
        total = sum(of_tasks.values())
        return {
            term: count * total / of_tasks[term.partition(".")[0]] if count else 1.0 for term, count in counts.items()
        }

    def outputs(self, model: nn.Module, batch: Batch, examples: Examples) -> Columns:
        """Never asked for."""
        del model, batch, examples
        raise AssertionError("each task is measured by itself")


@dataclass(frozen=True)
class Lessons:
    """What several tasks are learned from, in the order of their names."""

    config: Config
    method: MultiTask
    tasks: dict[str, Lesson]

    @property
    def parts(self) -> dict[str, Examples]:
        """All examples of each split."""
        return {
            f"{name} {split}": examples
            for name, lesson in self.tasks.items()
            for split, examples in lesson.parts.items()
        }

    def phase(self) -> Phase:
        """All of training, as one phase with a part for each task."""
        parts = {}
        for name, lesson in self.tasks.items():
            own = lesson.phase()
            parts[name] = replace(own, goal=TaskOf(goal=own.goal, task=name))
        train = _one_after_the_other({name: part.train for name, part in parts.items()})
        validated = {name: part.validation for name, part in parts.items() if part.validation is not None}
        return Phase(
            SeveralTasks(
                tasks={name: cast("TaskOf", part.goal) for name, part in parts.items()},
                weights=self.method.weights_of(self.tasks),
                tokens={name: _tokens_of_terms(part.goal, part.train) for name, part in parts.items()},
            ),
            train,
            _one_after_the_other(validated) if validated else None,
            training=self.config,
            score=self._with_mean,
            mixture=TaskMixture(tuple(len(part.train) for part in parts.values()), self.method.temperature),
            parts=parts,
        )

    def _with_mean(self, numbers: Columns) -> dict[str, float]:
        """The tasks' metrics, and the mean of one a task, each as a share of what is perfect (`share_of_perfect`)."""
        shares = [share_of_perfect(best, float(numbers[f"{name}.{best}"])) for name, best in self._judged_by().items()]
        return {**numbers, MEAN_OF_TASKS: float(np.mean(shares))}

    def _judged_by(self) -> dict[str, str]:
        """Each task's first metric that is better when higher; of one without any, as those that write, the loss."""
        measured = {name: one.task.metrics for name, one in self.tasks.items() if "validation" in one.parts}
        return {name: next(filter(higher_is_better, metrics), metrics[0]) for name, metrics in measured.items()}

    def settled(self, config: Config) -> Lessons:
        """The same with these settings, for all tasks."""
        return replace(self, config=config, tasks={name: one.settled(config) for name, one in self.tasks.items()})

    def selection(self) -> Selection | None:
        """By which number the best weights are kept: a task's metric, or the mean of all tasks."""
        if not any("validation" in lesson.parts for lesson in self.tasks.values()):
            return None
        wanted = self.config.metric_for_best_model
        if wanted is None:
            judged_by = ", ".join(f"{name}.{metric}" for name, metric in self._judged_by().items())
            patience = self.config.early_stopping_patience
            return Selection(MEAN_OF_TASKS, higher_is_better=True, patience=patience, reason=judged_by)
        name, _, metric = wanted.partition(".")
        check_metric(self.tasks[name].task, metric)
        return Selection(wanted, higher_is_better(metric), self.config.early_stopping_patience)

    def rates(self) -> dict[str, float]:
        """That of the learned weights."""
        return {} if self.method.weights_of(self.tasks) is not None else {"log_variances": _WEIGHTS_RATE}

    def model(self) -> SeveralHeads:
        """The models of all tasks, with one encoder."""
        return self._joined({name: lesson.model() for name, lesson in self.tasks.items()})

    def bare_model(self) -> SeveralHeads:
        """The same without weights."""
        return self._joined({name: lesson.bare_model() for name, lesson in self.tasks.items()})

    def _joined(self, models: dict[str, Any]) -> SeveralHeads:
        return SeveralHeads(models, learns_weights=self.method.weights_of(self.tasks) is None)

    def save(self, folder: Path, model: Any, best: dict[str, Any] | None) -> None:
        """Write a folder a task, each a checkpoint by itself, and beside them which there are."""
        for name, lesson in self.tasks.items():
            lesson.save(folder / name, model.of(name), best)
        write_json(folder / INFO, {"goal_kind": "tasks", TASKS_KEY: list(self.tasks), "best": best})

    def facts(self) -> dict[str, Any]:
        """What was learned from, by task."""
        return {"tasks": {name: lesson.facts() for name, lesson in self.tasks.items()}}


def open_all(config: Config, job: Job) -> tuple[Lesson | Lessons, dict[str, str]]:
    """All rows of the section, encoded, with what the settings leave out, and what was chosen there, by what it is."""
    width = start_config(config, job, tokenizer_folder(job)).hidden_size
    config, rate = with_rate(config, width, FINETUNE_RATE * config.method.rate_ratio)
    if config.together is None:
        lesson: Lesson | Lessons = open_lesson(config, job, metric=config.metric_for_best_model)
    else:
        lesson = open_lessons(config, config.together, job)
    tasks = [one.task for one in lesson.tasks.values()]
    check_weighing(config, tasks)
    lengths = [one.parts["train"].packed_lengths for one in lesson.tasks.values()]
    config, batches = with_batches(config, lengths, max(task.examples_in_batch for task in tasks))
    lesson, selection = lesson.settled(config), lesson.selection()
    return lesson, rate | batches | ({} if selection is None else selection.choices)


def open_lessons(config: Config, method: MultiTask, job: Job) -> Lessons:
    """Open every dataset of the section, and encode its train and validation rows; see `open_lesson`."""
    by, _, metric = (config.metric_for_best_model or "").partition(".")
    names = sorted(role.partition(":")[2] for role in job.inputs if role.startswith("data:"))
    lessons = {name: open_lesson(config, job, name=name, metric=metric if name == by else None) for name in names}
    without = [name for name, lesson in lessons.items() if "validation" not in lesson.parts]
    if without and len(without) < len(lessons):
        job.console.say(f"{', '.join(without)}: no validation split, so that the best weights are chosen without it")
    return Lessons(config, method, lessons)


def _one_after_the_other(parts: Mapping[str, Examples]) -> Examples:
    """The examples of all parts; only `parts` has their tokens and columns."""
    lengths = np.concatenate([part.packed_lengths for part in parts.values()])
    first = next(iter(parts.values()))
    cut: Counter[str] = Counter()
    for part in parts.values():
        cut.update(part.cut)
    return Examples(first.tokens, np.zeros_like(lengths), lengths, (), (), {}, cut=dict(cut), parts=parts)


def _tokens_of_terms(goal: Goal, examples: Examples) -> dict[str, float]:
    """How many tokens there are for a target of each term, of some examples."""
    rows = np.unique(np.linspace(0, len(examples) - 1, min(len(examples), _SAMPLE)).astype(np.int64))
    tokens, counts = 0, Counter[str]()
    for place, some in enumerate(np.array_split(rows, -(-len(rows) // 50))):
        batch = goal.collate(examples, some, generator(0, 0, place))
        tokens += batch.num_tokens
        counts.update(batch.counts)
    return {term: tokens / max(1, count) for term, count in counts.items()}
