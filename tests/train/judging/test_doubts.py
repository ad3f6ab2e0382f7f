"""A model that learned too little is told from one that learned, by the metric that chooses the weights."""

from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from bmtool.models.files.inference import Rows
from bmtool.tasks.question_answering import QuestionAnswering
from bmtool.tasks.text_classification import TextClassification
from bmtool.tasks.text_regression import TextRegression
from bmtool.tasks.translation import Translation
from bmtool.tokenizers.bpe import Bpe
from bmtool.train.judging.doubts import doubts, token_entropy


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
    assert found.get("", "").startswith(f"{text} gives 0.800. Try a higher learning_rate") == is_told
    assert bool(found) == is_told


def test_a_balanced_metric_is_no_false_alarm():
    one = lesson(TextClassification(), *MOSTLY_A, metric="f1_macro")

    assert not doubts({"": one}, {"f1_macro": 0.6, "accuracy": 0.7})  # accuracy is below 0.8, and doesn't choose


def test_numbers_are_measured_against_the_mean():
    by_error = lesson(TextRegression(), [1.0, 3.0], [1.0, 3.0], (), "rmse")
    by_correlation = lesson(TextRegression(), [1.0, 3.0], [1.0, 3.0], (), "pearson")

    assert "the mean for everything gives 1.000" in doubts({"": by_error}, {"rmse": 1.2})[""]
    assert not doubts({"": by_error}, {"rmse": 0.5})
    assert "gives 0.000" in doubts({"": by_correlation}, {"pearson": -0.1})[""]
    assert "pearson is nan" in doubts({"": by_correlation}, {"pearson": None})[""]


def test_labels_of_which_none_is_ever_given_are_told():
    sets = np.asarray([[True, False], [False, True], [False, False]])
    one = lesson(TextClassification(multi_label=True), sets, sets, metric="f1_micro")

    assert len(doubts({"": one}, {"f1_micro": 0.0})) == 1


@pytest.mark.parametrize(("value", "is_told"), [(0.25, True), (0.5, False)])
def test_no_answer_at_all_is_the_measure_of_questions(value, is_told):
    parts = {
        name: SimpleNamespace(columns={"references": [["a"], ["b", "c"], [], ["d"]]})
        for name in ("train", "validation")
    }
    config = SimpleNamespace(metric_for_best_model="exact_match")
    one = SimpleNamespace(task=QuestionAnswering(), parts=parts, config=config)

    found = doubts({"": one}, {"exact_match": value})

    text = "the model learned too little: on validation exact_match is 0.250, and no answer for everything gives 0.250."
    assert found.get("", "").startswith(text) == is_told
    assert bool(found) == is_told


def test_how_often_tokens_come_is_the_measure_of_what_is_written():
    tokenizer = Bpe(vocab_size=300).train(["a b c d"])
    rows = {"source": ["x", "y", "z"], "target": ["a", "a b", "a"]}
    examples = Translation().examples(Rows(pa.table(rows), (), "train"), tokenizer, 16)
    one = SimpleNamespace(
        task=Translation(),
        parts={"train": examples, "validation": examples},
        config=SimpleNamespace(metric_for_best_model="chrf"),
    )
    tokens = [[*tokenizer.encode(text).ids, tokenizer.token_to_id("<|endoftext|>")] for text in rows["target"]]
    entropy = token_entropy(np.concatenate(tokens), np.concatenate(tokens))

    assert not doubts({"": one}, {"loss": entropy - 0.01, "chrf": 0.0})
    assert (
        f"loss is {entropy + 0.01:.3f}, and how often each token comes gives {entropy:.3f}."
        in doubts({"": one}, {"loss": entropy + 0.01, "chrf": 0.0})[""]
    )


def test_the_entropy_of_tokens_is_that_of_their_frequencies():
    known = np.asarray([0, 0, 0, 1])

    assert token_entropy(known, np.asarray([0, 1])) == pytest.approx(-(np.log(4 / 6) + np.log(2 / 6)) / 2)


def test_each_of_several_tasks_is_named():
    one = lesson(TextClassification(), *MOSTLY_A)
    metric = TextClassification().metrics[0]

    found = doubts({"stars": one, "spam": one}, {f"stars.{metric}": 0.0, f"spam.{metric}": 1.0})

    assert found.keys() == {"stars"}
