"""Metrics of numbers and grades equal those of SciPy and scikit-learn."""

import sys
from pathlib import Path

import numpy as np
import pytest
from bmtool.data.scoring.scores import evaluate_metrics
from bmtool.errors import DataError
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import cohen_kappa_score, mean_absolute_error, root_mean_squared_error

sys.path.insert(0, str(Path(__file__).parent.parent))
from random_answers import numbers


def value_of(name, references, predictions, labels=()):
    outputs = {"references": np.asarray(references), "predictions": np.asarray(predictions)}
    return evaluate_metrics([name], outputs, labels)[name]


@pytest.mark.parametrize(
    ("name", "reference"),
    [
        ("pearson", lambda y, p: pearsonr(y, p).statistic),
        ("spearman", lambda y, p: spearmanr(y, p).statistic),
        ("rmse", root_mean_squared_error),
        ("mae", mean_absolute_error),
    ],
)
@pytest.mark.parametrize("seed", range(3))
def test_metrics_of_numbers_equal_those_of_the_libraries(name, reference, seed):
    outputs = numbers(seed=seed)

    value = value_of(name, *outputs.values())

    assert value == pytest.approx(reference(*outputs.values()), abs=1e-12)


def test_a_correlation_keeps_its_digits_where_numbers_are_large_beside_their_spread():
    years = 1e9 + np.arange(50.0)
    others = years + np.random.default_rng(0).normal(size=50)

    assert value_of("pearson", years, others) == pytest.approx(pearsonr(years - 1e9, others - 1e9).statistic, abs=1e-9)


@pytest.mark.parametrize("name", ["pearson", "spearman"])
@pytest.mark.parametrize("constant", [0.1, 3.0])
def test_a_correlation_with_a_constant_is_undefined(name, constant):
    assert np.isnan(value_of(name, [1.0, 2.0, 4.0], [constant] * 3))
    assert np.isnan(value_of(name, [constant] * 3, [1.0, 2.0, 4.0]))


def test_quadratic_kappa_of_numbers_rounds_what_is_predicted():
    outputs = numbers()

    value = value_of("kappa_quadratic", *outputs.values())

    grades = np.rint(outputs["predictions"]).astype(int)
    scale = range(grades.min(), max(grades.max(), 6) + 1)
    expected = cohen_kappa_score(outputs["references"].astype(int), grades, labels=scale, weights="quadratic")
    assert value == pytest.approx(expected, abs=1e-12)


def test_labels_written_as_whole_numbers_are_these_grades_in_quadratic_kappa():
    rng = np.random.default_rng(0)
    labels = ("1", "10", "2", "5")  # in the order of text
    ids = rng.integers(0, 4, size=(2, 100))

    value = value_of("kappa_quadratic", *ids, labels)

    grades = np.asarray([1, 10, 2, 5])[ids]
    assert value == pytest.approx(cohen_kappa_score(*grades, labels=range(1, 11), weights="quadratic"), abs=1e-12)


def test_other_labels_are_graded_in_their_order_in_quadratic_kappa():
    ids = np.random.default_rng(0).integers(0, 3, size=(2, 100))

    value = value_of("kappa_quadratic", *ids, ("bad", "fair", "good"))

    assert value == pytest.approx(cohen_kappa_score(*ids, weights="quadratic"), abs=1e-12)


def test_quadratic_kappa_is_undefined_where_there_is_one_grade():
    assert np.isnan(value_of("kappa_quadratic", [2.0, 2.0], [2.0, 2.2]))


def test_quadratic_kappa_asks_for_whole_grades():
    with pytest.raises(DataError) as error:
        value_of("kappa_quadratic", [1.0, 2.5], [1.0, 2.0])

    assert str(error.value) == (
        "kappa_quadratic compares grades, which are whole numbers; row 1 has 2.5. "
        "Choose pearson or spearman, or scale the grades to whole numbers"
    )
