"""Metrics of probabilities equal those of scikit-learn, or their formula in a loop."""

import sys
from pathlib import Path

import numpy as np
import pytest
from bmtool.data.scoring.scores import evaluate_metrics
from sklearn.metrics import average_precision_score, brier_score_loss, roc_auc_score

sys.path.insert(0, str(Path(__file__).parent.parent))
from random_answers import LABELS, label_sets, one_label, two_labels


def value_of(name, outputs, labels=LABELS):
    return evaluate_metrics([name], outputs, labels)[name]


def against_rest(area, outputs):
    """The mean of `area` over labels that are true of some rows."""
    true, probabilities = outputs["references"], outputs["probabilities"]
    true = true if true.ndim == 2 else true[:, None] == np.arange(probabilities.shape[1])
    return np.mean([area(y, p) for y, p in zip(true.T, probabilities.T, strict=True) if y.any()])


@pytest.mark.parametrize(("name", "area"), [("auroc", roc_auc_score), ("auprc", average_precision_score)])
@pytest.mark.parametrize("make", [one_label, label_sets])
@pytest.mark.parametrize("seed", range(3))
def test_areas_of_several_labels_equal_those_of_scikit_learn(name, area, make, seed):
    outputs = make(seed=seed)

    assert value_of(name, outputs) == pytest.approx(against_rest(area, outputs), abs=1e-12)


@pytest.mark.parametrize(("name", "area"), [("auroc", roc_auc_score), ("auprc", average_precision_score)])
def test_areas_of_two_labels_are_those_of_the_second(name, area):
    outputs = two_labels()

    value = value_of(name, outputs, ("ham", "spam"))

    assert value == pytest.approx(area(outputs["references"], outputs["probabilities"][:, 1]), abs=1e-12)


def test_the_area_of_several_labels_is_scikit_learns_where_all_occur():
    rng = np.random.default_rng(0)
    probabilities = rng.dirichlet([1, 1, 1], size=100)
    references = rng.integers(0, 3, size=100)

    value = value_of("auroc", {"references": references, "probabilities": probabilities}, ("a", "b", "c"))

    assert value == pytest.approx(roc_auc_score(references, probabilities, multi_class="ovr"), abs=1e-12)


@pytest.mark.parametrize("name", ["auroc", "auprc"])
def test_an_area_is_undefined_where_nothing_is_true(name):
    outputs = {"references": np.zeros(3, dtype=np.int64), "probabilities": np.full((3, 2), 0.5)}

    assert np.isnan(value_of(name, outputs, ("a", "b")))


@pytest.mark.parametrize("make", [one_label, two_labels])
def test_the_brier_score_is_scaled_as_in_scikit_learn(make):
    outputs = make()

    value = value_of("brier", outputs)

    labels = np.arange(outputs["probabilities"].shape[1])
    expected = brier_score_loss(outputs["references"], outputs["probabilities"], labels=labels)
    assert value == pytest.approx(expected, abs=1e-6)  # float32 there


def test_the_brier_score_of_sets_is_the_mean_of_that_of_the_labels():
    outputs = label_sets()

    value = value_of("brier", outputs)

    each = zip(outputs["references"].T[:3], outputs["probabilities"].T[:3], strict=True)
    rest = (outputs["probabilities"][:, 3] ** 2).mean()  # scikit-learn refuses a label that is never true
    assert value == pytest.approx((sum(brier_score_loss(y, p) for y, p in each) + rest) / 4, abs=1e-12)


def calibration_error(confidence, right):
    """Guo et al. 2017, equations 2 to 5."""
    error = 0.0
    for number in range(15):
        inside = (confidence > number / 15) & (confidence <= (number + 1) / 15)
        if inside.any():
            error += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    return error


@pytest.mark.parametrize("make", [one_label, two_labels])
def test_the_calibration_error_equals_its_formula(make):
    outputs = make()
    confidence = outputs["probabilities"].astype(np.float64)[np.arange(200), outputs["predictions"]]

    value = value_of("ece", outputs)

    assert value == pytest.approx(calibration_error(confidence, outputs["predictions"] == outputs["references"]))


def test_the_calibration_error_of_sets_counts_each_decision():
    outputs = label_sets()
    confidence = np.where(outputs["predictions"], outputs["probabilities"], 1 - outputs["probabilities"]).ravel()

    value = value_of("ece", outputs)

    right = (outputs["predictions"] == outputs["references"]).ravel()
    assert value == pytest.approx(calibration_error(confidence, right))


@pytest.mark.parametrize("probability", [0.0, 1.0])
def test_the_calibration_error_knows_both_ends(probability):
    sure = np.asarray([[probability, 1 - probability]])
    outputs = {"references": np.asarray([0]), "predictions": np.asarray([0]), "probabilities": sure}

    assert value_of("ece", outputs) == 1 - probability
