"""Say plainly when a fine-tuned model is no better than one and the same answer for everything."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from bmtool.data.labelled import same_answer
from bmtool.data.scores import over_all, readable
from bmtool.registry import METRICS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bmtool.train.finetuning import Lesson

#: Kinds of answers of which one stands for all: the most frequent, or the mean.
_SINGLE = ("label", "labels", "tags", "number")


def doubts(tasks: Mapping[str, Lesson], validation: Mapping[str, float | None]) -> list[str]:
    """A warning for each task, by name, whose `validation` value of its first metric is no better than that.

    It is decided by the metric that chooses the weights: of accuracy the most frequent label may be hard to beat, of
    f1_macro it hardly ever is.
    """
    found = (_doubt(name, one, validation) for name, one in tasks.items() if "validation" in one.parts)
    return [text for text in found if text]


def _doubt(name: str, lesson: Lesson, validation: Mapping[str, float | None]) -> str:
    chosen = "" if name else lesson.config.metric_for_best_model or ""
    metric = METRICS.load(chosen or lesson.task.metrics[0])()
    train, wanted = (lesson.parts[split].columns.get("references") for split in ("train", "validation"))
    if not lesson.task.of_kind(*_SINGLE) or wanted is None:
        return ""
    outputs = {"references": wanted, "predictions": same_answer(train, wanted)}
    key = f"{name}.{metric.name()}" if name else metric.name()
    if key not in validation or not readable(metric, outputs):
        return ""
    known = validation[key]
    value = math.nan if known is None else known  # a correlation with one and the same number
    usual = float(over_all(metric.values, metric.statistics(outputs, lesson.dataset.labels)))
    if not math.isfinite(usual):
        usual = 0.0
    if value > usual if metric.higher_is_better else value < usual:
        return ""
    what = "the mean" if lesson.task.of_kind("number") else "the most frequent answer"
    return (
        f"{f'{name}: ' if name else ''}the model learned too little: on validation {metric.name()} is {value:.3f}, and "
        f"{what} for everything gives {usual:.3f}. Try a higher learning_rate, more num_train_epochs, or a smaller "
        "per_device_batch_tokens (docs/tasks.md, When it learns too little)"
    )
