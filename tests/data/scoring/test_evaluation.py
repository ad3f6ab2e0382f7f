"""An evaluation scores every kind of answers, and says what has to be known to have a number again."""

import sys
from pathlib import Path

import numpy as np
import pytest
from bmtool.config.model import validate
from bmtool.data.scoring.evaluation import comparisons, evaluate_outputs
from bmtool.errors import ConfigError
from bmtool.metrics.bleu import Bleu
from bmtool.registry import METRICS

sys.path.insert(0, str(Path(__file__).parents[2]))
from random_answers import LABELS, label_sets, numbers, texts, two_labels


def evaluated(outputs, metrics, labels=(), baselines=None):
    components = [METRICS.load(metric)() if isinstance(metric, str) else metric for metric in metrics]
    names = {"dataset": "d", "split": "test", "cut": {}}
    return evaluate_outputs(outputs, components, labels, **names, baselines=baselines or {}, seed=0, resamples=100)


def test_sets_of_labels_are_scored_label_by_label_and_have_no_confusion_matrix():
    evaluation = evaluated(label_sets(), ["f1_micro", "subset_accuracy"], LABELS)

    assert [label.name for label in evaluation.labels] == list(LABELS)
    assert evaluation.labels[0].recall.n == label_sets()["references"][:, 0].sum()
    assert evaluation.confusion == ()


def test_a_metric_that_is_no_sum_is_compared_with_a_baseline_on_the_same_rows():
    ours = two_labels()
    guessing = {**ours, "probabilities": np.full((200, 2), 0.5)}

    evaluation = evaluated(ours, ["auroc"], ("a", "b"), {"guessing": guessing})

    score, difference = evaluation.metrics["auroc"], evaluation.differences["guessing"]["auroc"]
    assert evaluation.baselines["guessing"]["auroc"].value == 0.5
    assert difference.value == pytest.approx(score.value - 0.5)
    assert (difference.low, difference.high) == pytest.approx((score.low - 0.5, score.high - 0.5))


@pytest.mark.parametrize(
    ("errors", "tone", "beginning"),
    [
        ((2.0, 2.0), "good", "better than rival: mae 1.000 against 2.000, "),
        ((0.1, 1.95), "warning", "not surely better than rival: mae 1.000 against 1.025, "),
        ((1.0, 1.0), "warning", "no better than rival: mae 1.000 against 1.000, "),
        ((0.1, 1.85), "warning", "no better than rival: mae 1.000 against 0.975, "),
        ((0.5, 0.5), "bad", "the model LOSES to rival: mae 1.000 against 0.500, "),
    ],
)
def test_a_model_wins_or_loses_only_where_the_whole_interval_of_the_difference_says_so(errors, tone, beginning):
    right = numbers()["references"]
    ours = {**numbers(), "predictions": right + 1.0}
    rival = {**ours, "predictions": right + np.resize(errors, len(right))}
    metric = METRICS.load("mae")()

    [(found, sentence)] = comparisons(evaluated(ours, [metric], baselines={"rival": rival}), [metric])

    assert (found, sentence[: len(beginning)]) == (tone, beginning)


def test_a_win_by_the_first_metric_does_not_hide_that_another_one_is_lost():
    right = np.arange(200) % 2
    ours = {
        **two_labels(),
        "references": right,
        "predictions": np.where(np.arange(200) % 4 < 3, right, 1 - right),
        "nll": np.full(200, 1.5),
        "targets": np.ones(200),
    }
    rival = ours | {"predictions": np.zeros(200, dtype=np.int64), "nll": np.full(200, 0.5)}
    metrics = [METRICS.load(name)() for name in ("accuracy", "loss", "perplexity")]

    [(tone, sentence)] = comparisons(evaluated(ours, metrics, ("a", "b"), {"rival": rival}), metrics)

    assert tone == "warning"
    assert sentence.startswith("better than rival: accuracy 0.750 against 0.500, difference +0.250 (")
    assert sentence.endswith("; WORSE by loss 1.500 against 0.500, perplexity 4.482 against 1.649")


def test_a_baseline_is_not_judged_by_a_metric_that_has_no_value_for_it():
    ours = numbers()
    mean = {**ours, "predictions": np.full(200, 3.0)}

    evaluation = evaluated(ours, ["pearson", "mae"], baselines={"mean": mean})

    assert evaluation.baselines["mean"].keys() == evaluation.differences["mean"].keys() == {"mae"}


def test_what_a_number_needs_to_be_had_again_is_recorded_beside_it():
    metrics = evaluated(texts(), [validate(Bleu, {"tokenize": "13a"}), "rouge1"]).plain()["metrics"]

    assert metrics["bleu"].keys() == {"value", "low", "high", "n", "signature", "tokenize"}
    assert metrics["bleu"]["signature"].startswith("nrefs:var|case:mixed|eff:no|tok:13a|smooth:exp|version:")
    assert metrics["bleu"]["tokenize"] == "13a: as the file says"
    assert metrics["rouge1"].keys() == {"value", "low", "high", "n"}


def test_a_metric_of_other_answers_is_refused_by_name():
    with pytest.raises(ConfigError) as error:
        evaluated(numbers(), ["pearson", "accuracy"])

    assert str(error.value) == "evaluate.metrics: accuracy judges label or tags, and this model answers with number"


def test_a_metric_of_a_column_that_is_not_there_is_refused_by_name():
    with pytest.raises(ConfigError) as error:
        evaluated(numbers(), ["auroc"])

    assert str(error.value) == "evaluate.metrics: auroc reads probabilities, which this model's goal doesn't give"
