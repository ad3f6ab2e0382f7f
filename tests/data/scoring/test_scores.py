"""Bootstrap intervals cover what they should, and are the same for the same seed."""

import numpy as np
import pytest
from bmtool.data.scoring import scores
from bmtool.data.scoring.scores import bootstrap, paired_difference
from bmtool.errors import DataError
from bmtool.metrics.accuracy import Accuracy
from bmtool.metrics.auroc import Auroc
from bmtool.metrics.loss import Loss
from bmtool.metrics.pearson import Pearson
from bmtool.registry import METRICS


def right_or_wrong(share, num_rows):
    right = np.arange(num_rows) < share * num_rows
    return np.stack([right, np.ones(num_rows)], axis=1).astype(np.float64)


def test_the_interval_of_a_share_is_about_that_of_the_normal_distribution():
    score = bootstrap(Accuracy(), right_or_wrong(0.7, 1000), seed=0)

    assert (score.value, score.n) == (0.7, 1000)
    half = 1.96 * np.sqrt(0.7 * 0.3 / 1000)
    assert score.low == pytest.approx(0.7 - half, abs=0.006)
    assert score.high == pytest.approx(0.7 + half, abs=0.006)


def test_the_interval_of_a_mean_is_about_that_of_the_normal_distribution():
    values = np.random.default_rng(0).normal(5, 2, size=1000)  # every row is different: the other way to draw
    statistics = np.stack([values, np.ones(1000)], axis=1)

    score = bootstrap(Loss(), statistics, seed=0)

    half = 1.96 * values.std() / np.sqrt(1000)
    assert score.low == pytest.approx(values.mean() - half, abs=0.02)
    assert score.high == pytest.approx(values.mean() + half, abs=0.02)


def test_the_interval_of_a_correlation_is_about_fishers():
    x, noise = np.random.default_rng(0).normal(size=(2, 1000))
    pairs = np.stack([x, x + noise], axis=1)

    score = bootstrap(Pearson(), pairs, seed=0)

    half = 1.96 / np.sqrt(1000 - 3)  # of the inverse hyperbolic tangent of the correlation
    assert score.low == pytest.approx(np.tanh(np.arctanh(score.value) - half), abs=0.006)
    assert score.high == pytest.approx(np.tanh(np.arctanh(score.value) + half), abs=0.006)


def test_equal_rows_are_drawn_together_also_where_a_metric_is_no_sum():
    rng = np.random.default_rng(0)
    true = rng.integers(0, 2, size=400)
    scores = (true + rng.integers(0, 3, size=400)) / 4  # six distinct rows
    together = np.stack([true, scores], axis=1)
    apart = together + np.stack([np.zeros(400), rng.random(400) * 1e-9], axis=1)

    one, other = (bootstrap(Auroc(), rows, seed=0, resamples=4000) for rows in (together, apart))

    assert other.low == pytest.approx(one.low, abs=0.02)  # ties are broken there, by chance
    assert other.high == pytest.approx(one.high, abs=0.02)


def test_both_ways_to_draw_rows_agree():
    statistics = right_or_wrong(0.6, 400)
    together = bootstrap(Accuracy(), statistics, seed=0, resamples=4000)
    apart = statistics + np.stack([np.arange(400), np.arange(400)], axis=1) * 1e-12  # distinct rows, the same numbers

    one_by_one = bootstrap(Accuracy(), apart, seed=0, resamples=4000)

    assert one_by_one.low == pytest.approx(together.low, abs=0.005)
    assert one_by_one.high == pytest.approx(together.high, abs=0.005)


def test_the_same_seed_gives_the_same_interval_and_another_seed_another():
    statistics = right_or_wrong(0.5, 300)

    first, again, other = (bootstrap(Accuracy(), statistics, seed=seed) for seed in (1, 1, 2))

    assert first == again
    assert (first.low, first.high) != (other.low, other.high)


def test_memory_is_bounded_by_chunks_that_change_nothing(monkeypatch):
    statistics = np.random.default_rng(0).normal(5, 2, size=(200, 2))
    whole = bootstrap(Loss(), statistics, seed=3, resamples=100)

    monkeypatch.setattr(scores, "_CHUNK_VALUES", 1000)

    assert bootstrap(Loss(), statistics, seed=3, resamples=100) == whole


def test_a_paired_difference_is_far_surer_than_two_intervals():
    ours = right_or_wrong(0.70, 1000)
    theirs = right_or_wrong(0.68, 1000)  # wrong where ours is, and in 20 rows more

    difference = paired_difference(Accuracy(), ours, theirs, seed=0)

    assert difference.value == pytest.approx(0.02)
    assert 0.01 < difference.low < difference.high < 0.03
    assert bootstrap(Accuracy(), ours, seed=0).low < 0.68


@pytest.mark.parametrize("num_rows", [0, 3])
def test_a_metric_without_a_value_is_a_data_error(num_rows):
    with pytest.raises(DataError) as error:
        bootstrap(Loss(), np.zeros((num_rows, 2)), seed=0)

    assert str(error.value) == (
        f"loss can't be computed: it has no finite value over {num_rows} rows, such as where all are alike. "
        f"Name the metrics that are to be measured under evaluate.metrics"
    )


def test_metrics_are_put_on_one_scale_by_what_is_perfect_and_losses_by_the_probability_that_they_are_of():
    assert scores.share_of_perfect("accuracy", 0.75) == 0.75
    assert scores.share_of_perfect("pearson", -0.5) == -0.5
    assert scores.share_of_perfect("chrf", 25.0) == scores.share_of_perfect("bleu", 25.0) == 0.25
    assert scores.share_of_perfect("loss", np.log(4)) == pytest.approx(0.25)
    assert scores.share_of_perfect("accuracy", np.nan) == 0


@pytest.mark.parametrize("name", ["bleu", "chrf", "rouge1", "rouge2", "rouge_l", "exact_match", "f1_answer"])
def test_what_is_perfect_is_what_right_texts_get(name):
    metric, texts = METRICS.load(name)(), ["a quick brown fox jumps", "over one lazy old dog"]
    statistics = metric.statistics({"predictions": texts, "references": [[text] for text in texts]}, ())

    assert float(scores.over_all(metric.values, statistics)) == pytest.approx(metric.perfect)
