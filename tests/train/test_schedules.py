"""The learning rate's course."""

import math

import pytest
from bmtool.train.schedules import factor


def course(kind, num_steps=10, warmup_ratio=0.2, decay_ratio=0.5):
    ratios = {"warmup_ratio": warmup_ratio, "decay_ratio": decay_ratio}
    return [factor(kind, step, num_steps, **ratios) for step in range(num_steps)]


def test_wsd_rises_stays_and_falls():
    assert course("wsd") == pytest.approx([0.5, 1, 1, 1, 1, 1, 0.8, 0.6, 0.4, 0.2])


def test_linear_falls_to_zero_behind_the_last_step():
    assert course("linear") == pytest.approx([0.5, 1, 1, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8])


def test_cosine_follows_a_half_wave():
    expected = [0.5, 1] + [0.5 * (1 + math.cos(math.pi * k / 8)) for k in range(8)]

    assert course("cosine") == pytest.approx(expected)


def test_constant_stays():
    assert course("constant") == [0.5] + [1.0] * 9


def test_without_warm_up_the_first_step_has_the_full_rate():
    assert course("constant", warmup_ratio=0.0) == [1.0] * 10
    assert course("wsd", decay_ratio=0.0) == [0.5] + [1.0] * 9


@pytest.mark.parametrize("kind", ["wsd", "linear", "cosine", "constant"])
@pytest.mark.parametrize("ratios", [(0.0, 0.0), (1.0, 1.0), (0.7, 0.6)])
def test_every_step_of_any_run_has_a_usable_rate(kind, ratios):
    for num_steps in (1, 2, 7):
        factors = course(kind, num_steps, *ratios)
        assert all(0 < value <= 1 for value in factors)


def test_an_unknown_kind_is_an_error():
    with pytest.raises(ValueError, match="unknown schedule 'square'"):
        course("square")
