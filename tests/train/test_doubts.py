"""A model that learned too little is told from one that learned, by the metric that chooses the weights."""

from types import SimpleNamespace

import numpy as np
import pytest
from bmtool.tasks.text_classification import TextClassification
from bmtool.tasks.text_regression import TextRegression
from bmtool.train.doubts import doubts


def lesson(task, train, validation, labels=("a", "b"), metric=None):
    """Rows with these answers, and the settings that choose by `metric`."""
    parts = {
        name: SimpleNamespace(columns={"references": np.asarray(answers)})
        for name, answers in (("train", train), ("validation", validation))
    }
    config, dataset = SimpleNamespace(metric_for_best_model=metric), SimpleNamespace(labels=labels)
    return SimpleNamespace(task=task, parts=parts, config=config, dataset=dataset)


MOSTLY_A = ([0] * 9 + [1], [0] * 8 + [1] * 2)


@pytest.mark.parametrize(("metric", "value", "is_told"), [("accuracy", 0.8, True), ("accuracy", 0.9, False)])
def test_the_most_frequent_label_is_the_measure(metric, value, is_told):
    found = doubts({"": lesson(TextClassification(), *MOSTLY_A, metric=metric)}, {metric: value})

    text = "the model learned too little: on validation accuracy is 0.800, and the most frequent answer for everything"
    assert [one.startswith(f"{text} gives 0.800. Try a higher learning_rate") for one in found] == [True] * is_told


def test_a_balanced_metric_is_no_false_alarm():
    one = lesson(TextClassification(), *MOSTLY_A, metric="f1_macro")

    assert not doubts({"": one}, {"f1_macro": 0.6, "accuracy": 0.7})  # accuracy is below 0.8, and doesn't choose


def test_numbers_are_measured_against_the_mean():
    by_error = lesson(TextRegression(), [1.0, 3.0], [1.0, 3.0], (), "rmse")
    by_correlation = lesson(TextRegression(), [1.0, 3.0], [1.0, 3.0], (), "pearson")

    assert "the mean for everything gives 1.000" in doubts({"": by_error}, {"rmse": 1.2})[0]
    assert not doubts({"": by_error}, {"rmse": 0.5})
    assert "gives 0.000" in doubts({"": by_correlation}, {"pearson": -0.1})[0]
    assert "pearson is nan" in doubts({"": by_correlation}, {"pearson": None})[0]


def test_labels_of_which_none_is_ever_given_are_told():
    sets = np.asarray([[True, False], [False, True], [False, False]])
    one = lesson(TextClassification(multi_label=True), sets, sets, metric="f1_micro")

    assert len(doubts({"": one}, {"f1_micro": 0.0})) == 1


def test_each_of_several_tasks_is_named():
    one = lesson(TextClassification(), *MOSTLY_A)
    metric = TextClassification().metrics[0]

    found = doubts({"stars": one, "spam": one}, {f"stars.{metric}": 0.0, f"spam.{metric}": 1.0})

    assert [text.split(":")[0] for text in found] == ["stars"]
