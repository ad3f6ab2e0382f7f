"""Shares of corpora in an epoch, drawn anew each epoch: the first one whole, or all by a temperature."""

import itertools

import numpy as np
import pytest
from bmtool.config.model import validate
from bmtool.config.shared import Training
from bmtool.train.course import Course
from bmtool.train.order.mixture import Mixture, TaskMixture


def lengths_of(*sizes, seed=0):
    rng = np.random.default_rng(seed)
    return rng.integers(5, 60, sum(sizes)).astype(np.int64)


@pytest.mark.parametrize(
    ("sizes", "shares"), [((400, 900), (0.05,)), ((400, 30), (0.3,)), ((300, 50, 700), (0.1, 0.4))]
)
def test_each_corpus_has_its_share_of_the_tokens(sizes, shares):
    lengths = lengths_of(*sizes)

    rows = Mixture(sizes, shares).rows(lengths, seed=0, epoch=0)

    total = lengths[rows].sum()
    borders = np.cumsum([0, *sizes])
    for share, start, end in zip(shares, borders[1:], borders[2:], strict=False):
        own = rows[(rows >= start) & (rows < end)]
        assert lengths[own].sum() == pytest.approx(share * total, abs=2 * 60)
    assert np.array_equal(rows[rows < sizes[0]], np.arange(sizes[0]))


def test_a_small_corpus_comes_round_evenly():
    lengths = lengths_of(400, 10)

    rows = Mixture((400, 10), (0.4,)).rows(lengths, seed=0, epoch=0)

    counts = np.bincount(rows[rows >= 400] - 400, minlength=10)
    assert counts.max() - counts.min() <= 1
    assert counts.min() > 5


def test_epochs_and_phases_draw_anew_and_the_same_place_draws_the_same():
    lengths = lengths_of(100, 500)
    mixture = Mixture((100, 500), (0.2,))
    first = mixture.rows(lengths, seed=1, epoch=0)

    assert np.array_equal(first, mixture.rows(lengths, seed=1, epoch=0))
    assert not np.array_equal(first, mixture.rows(lengths, seed=1, epoch=1))
    assert not np.array_equal(first, mixture.rows(lengths, seed=1, epoch=0, phase=1))
    assert not np.array_equal(first, mixture.rows(lengths, seed=2, epoch=0))


def test_a_course_packs_what_the_mixture_takes():
    lengths = lengths_of(50, 200)
    mixture = Mixture((50, 200), (0.1,))
    training = validate(
        Training, {"learning_rate": 1e-3, "max_seq_length": 64, "per_device_batch_tokens": 256, "num_train_epochs": 1}
    )
    course = Course(lengths, training, seed=0, mixture=mixture)

    rows = np.concatenate([course.rows(0, batch) for batch in range(course.num_batches(0))])

    assert np.array_equal(np.sort(rows), np.sort(mixture.rows(lengths, seed=0, epoch=0)))


def test_phases_of_a_course_shuffle_differently():
    lengths = lengths_of(300)
    training = validate(
        Training, {"learning_rate": 1e-3, "max_seq_length": 64, "per_device_batch_tokens": 256, "num_train_epochs": 1}
    )

    assert not np.array_equal(Course(lengths, training, 0).rows(0, 0), Course(lengths, training, 0, phase=1).rows(0, 0))


# ---------------------------------------------------------------- tasks


def shares_of(rows, lengths, sizes):
    borders = np.cumsum([0, *sizes])
    own = [lengths[rows[(rows >= start) & (rows < end)]].sum() for start, end in itertools.pairwise(borders)]
    return np.array(own) / lengths[rows].sum()


@pytest.mark.parametrize("temperature", [1.0, 2.0, 5.0])
def test_a_tasks_share_of_the_tokens_is_its_size_to_the_power_of_one_over_the_temperature(temperature):
    sizes = (1600, 100, 400)
    lengths = lengths_of(*sizes)

    rows = TaskMixture(sizes, temperature).rows(lengths, seed=0, epoch=0)

    tokens = np.add.reduceat(lengths, [0, 1600, 1700])
    wanted = tokens ** (1 / temperature)
    np.testing.assert_allclose(shares_of(rows, lengths, sizes), wanted / wanted.sum(), atol=2e-3)
    assert lengths[rows].sum() == pytest.approx(lengths.sum(), rel=2e-3)


def test_with_a_temperature_of_one_each_row_of_every_task_comes_once():
    sizes = (313, 57, 801)

    rows = TaskMixture(sizes, 1.0).rows(lengths_of(*sizes), seed=3, epoch=2)

    assert np.array_equal(rows, np.arange(sum(sizes)))


def test_a_batch_is_of_one_task_and_tasks_take_turns():
    sizes = (200, 150)
    lengths = lengths_of(*sizes)
    training = validate(
        Training, {"learning_rate": 1e-3, "max_seq_length": 64, "per_device_batch_tokens": 256, "num_train_epochs": 1}
    )
    course = Course(lengths, training, seed=0, mixture=TaskMixture(sizes, 1.0))

    batches = [course.rows(0, batch) for batch in range(course.num_batches(0))]

    tasks = [set((rows >= 200).tolist()) for rows in batches]
    assert all(len(task) == 1 for task in tasks)
    changes = sum(one != other for one, other in itertools.pairwise(tasks))
    assert changes > len(tasks) // 4
    assert np.array_equal(np.sort(np.concatenate(batches)), np.arange(350))
    assert max(int(lengths[rows].sum()) for rows in batches) <= 256
