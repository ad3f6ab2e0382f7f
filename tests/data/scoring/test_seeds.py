"""Means over seeds have the interval of Student's t, and differences are taken seed by seed."""

import numpy as np
import pytest
from bmtool.data.scoring.seeds import Spread, study_seeds
from bmtool.errors import DataError
from bmtool.metrics.accuracy import Accuracy
from bmtool.metrics.pearson import Pearson
from scipy import stats


def test_a_spread_is_that_of_a_t_test():
    values = [0.61, 0.64, 0.58, 0.66, 0.6]

    spread = Spread.of(values)

    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (spread.low, spread.high) == pytest.approx((expected.low, expected.high))
    assert spread.standard_deviation == pytest.approx(np.std(values, ddof=1))
    assert spread.values == tuple(values)


def outputs(*predictions, references=(0, 1, 1, 0)):
    return {"references": np.asarray(references), "predictions": np.asarray(predictions)}


def test_each_seed_is_compared_with_the_baseline_on_the_same_rows():
    by_seed = {3: outputs(0, 1, 1, 0), 4: outputs(0, 1, 0, 0)}

    study = study_seeds(by_seed, [Accuracy()], ("a", "b"), {"majority": outputs(0, 0, 0, 0)}, {})

    assert study.seeds == (3, 4)
    assert study.metrics["accuracy"].values == (1.0, 0.75)
    assert study.differences["majority"]["accuracy"].values == (0.5, 0.25)


def test_each_seed_is_compared_with_the_same_one_of_another_study():
    by_seed = {3: outputs(0, 1, 1, 0), 4: outputs(0, 1, 0, 0)}

    study = study_seeds(by_seed, [Accuracy()], ("a", "b"), {}, {"before": {"accuracy": [0.75, 0.75]}, "other": {}})

    assert study.differences["before"]["accuracy"].values == (0.25, 0.0)
    assert study.differences["other"] == {}


def test_a_seed_without_a_value_is_named_and_a_baseline_without_one_left_out():
    references = (1.0, 2.0, 4.0, 3.0)
    good, flat = outputs(1.0, 2.0, 3.0, 4.0, references=references), outputs(2.0, 2.0, 2.0, 2.0, references=references)

    study = study_seeds({0: good, 1: good}, [Pearson()], (), {"majority": flat}, {})

    assert study.differences == {"majority": {}}
    with pytest.raises(DataError, match="with seed 1 it has no finite value"):
        study_seeds({0: good, 1: flat}, [Pearson()], (), {}, {})
