"""Say plainly when a fine-tuned model is no better than something that has read none of its texts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from bmtool.data.examples.labelled import same_answer
from bmtool.data.scoring.scores import higher_is_better, over_all, readable
from bmtool.registry import METRICS
from bmtool.train.order.plan import generator

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from bmtool.contracts import Examples, Task
    from bmtool.train.jobs.finetuning import Lesson

#: Kinds of answers of which one stands for all: the most frequent, or the mean.
_SINGLE = ("label", "labels", "tags", "number")

#: Tokens of so many texts are counted, spread over the split: enough for the frequencies of those that matter.
_COUNTED_ROWS = 2000


def doubts(tasks: Mapping[str, Lesson], validation: Mapping[str, float | None]) -> dict[str, str]:
    """What to say of each task whose `validation` value is no better than that, by the task's name.

    It is decided by the metric that chooses the weights: of accuracy the most frequent label may be hard to beat, of
    f1_macro it hardly ever is. Of tasks that write by the loss, which a token's frequency alone gives, too.
    """
    found = {name: _doubt(name, one, validation) for name, one in tasks.items() if "validation" in one.parts}
    return {name: text for name, text in found.items() if text}


def _doubt(name: str, lesson: Lesson, validation: Mapping[str, float | None]) -> str:
    chosen = "" if name else lesson.config.metric_for_best_model or ""
    writes = lesson.task.of_kind("target", "messages")
    metric = "loss" if writes else chosen or lesson.task.metrics[0]
    key = f"{name}.{metric}" if name else metric
    found = _without_reading(lesson, metric) if key in validation else None
    if found is None:
        return ""
    what, usual = found
    known = validation[key]
    value = math.nan if known is None else known  # a correlation with one and the same number
    if value > usual if higher_is_better(metric) else value < usual:
        return ""
    return (
        f"the model learned too little: on validation {metric} is {value:.3f}, and {what} gives {usual:.3f}. Try a "
        "higher learning_rate, more num_train_epochs, or a smaller per_device_batch_tokens "
        "(docs/tasks.md, When it learns too little)"
    )


def _without_reading(lesson: Lesson, metric: str) -> tuple[str, float] | None:
    """What can be said without reading a text, and its value of the metric; None: nothing comparable is known."""
    task, train, validation = lesson.task, lesson.parts["train"], lesson.parts["validation"]
    wanted = validation.columns.get("references")
    if wanted is None:
        return None
    if task.of_kind("target", "messages"):
        return "how often each token comes", token_entropy(_written(task, train), _written(task, validation))
    if task.of_kind("answers"):
        no_answer = float(np.mean([not answers for answers in wanted]))
        return ("no answer for everything", no_answer) if metric in {"exact_match", "f1_answer"} else None
    if not task.of_kind(*_SINGLE):
        return None
    measure = METRICS.load(metric)()
    outputs = {"references": wanted, "predictions": same_answer(train.columns["references"], wanted)}
    if not readable(measure, outputs):
        return None
    usual = float(over_all(measure.values, measure.statistics(outputs, lesson.dataset.labels)))
    what = "the mean" if task.of_kind("number") else "the most frequent answer"
    return f"{what} for everything", usual if math.isfinite(usual) else 0.0


def _written(task: Task, examples: Examples) -> NDArray[np.int64]:
    """The tokens that are learned of some of the rows, in one array (T,)."""
    some = np.unique(np.linspace(0, len(examples) - 1, min(len(examples), _COUNTED_ROWS)).astype(np.int64))
    parts = np.array_split(some, -(-len(some) // 100))
    return np.concatenate(
        [task.collate(examples, rows, generator(0, 0, 0)).targets["labels"].numpy() for rows in parts]
    )


def token_entropy(known: NDArray[np.int64], unseen: NDArray[np.int64]) -> float:
    """Nats a token of `unseen` (T,) by the frequencies in `known` (K,), each token seen once more than it was."""
    size = int(max(known.max(initial=0), unseen.max(initial=0))) + 1
    counts = np.bincount(known, minlength=size) + 1.0
    return float(np.log(counts.sum()) - np.log(counts[unseen]).mean()) if len(unseen) else math.inf
