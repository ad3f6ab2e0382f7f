"""The plan is a full partition and a pure function; random streams don't depend on what was drawn before."""

import itertools
import tracemalloc

import numpy as np
import pytest
from bmtool.config.model import validate
from bmtool.config.shared import Training
from bmtool.errors import DataError
from bmtool.train.course import Course
from bmtool.train.order import plan as planning
from bmtool.train.order.plan import DROPOUT, LOOK_AHEAD, batch_sizes, generator, in_order, plan
from hypothesis import given, settings
from hypothesis import strategies as st


def natural_lengths(count=5000, longest=128, seed=0):
    drawn = np.random.default_rng(seed).lognormal(4.5, 0.8, count).astype(np.int64) + 3
    return np.minimum(drawn, longest)


def batch_sums(lengths, order, borders):
    return np.add.reduceat(lengths[order], borders[:-1])


@pytest.mark.parametrize("batch_tokens", [128, 1000, 4096])
def test_every_document_is_in_exactly_one_batch_and_no_batch_is_too_long(batch_tokens):
    lengths = natural_lengths()

    order, borders = plan(lengths, 1, 2, batch_tokens)

    assert np.array_equal(np.sort(order), np.arange(len(lengths)))
    assert (borders[0], borders[-1]) == (0, len(lengths))
    assert (np.diff(borders) > 0).all()
    assert batch_sums(lengths, order, borders).max() <= batch_tokens


@pytest.mark.parametrize("longest", [128, 512])
def test_batches_of_natural_lengths_are_99_percent_full(longest):
    lengths = natural_lengths(20_000, longest)

    order, borders = plan(lengths, 0, 0, 4096)

    assert lengths.sum() / (4096 * (len(borders) - 1)) > 0.99
    assert batch_sums(lengths, order, borders)[:-1].mean() > 0.995 * 4096


@pytest.mark.parametrize("batch_tokens", [128, 1000, 4096])
def test_batches_by_length_hold_every_document_once_and_fit_when_they_are_padded(batch_tokens):
    lengths = natural_lengths()

    order, borders = plan(lengths, 1, 2, batch_tokens, by_length=True)

    assert np.array_equal(np.sort(order), np.arange(len(lengths)))
    assert (borders[0], borders[-1]) == (0, len(lengths))
    longest = np.maximum.reduceat(lengths[order], borders[:-1])
    assert (longest * np.diff(borders)).max() <= batch_tokens
    assert (longest == lengths[order[borders[:-1]]]).all()


def test_batches_by_length_need_little_padding_and_come_in_a_random_order():
    lengths = natural_lengths(20_000, 512)

    order, borders = plan(lengths, 0, 0, 4096, by_length=True)
    again, _ = plan(lengths, 0, 0, 4096, by_length=True)
    other, _ = plan(lengths, 0, 1, 4096, by_length=True)

    longest = np.maximum.reduceat(lengths[order], borders[:-1])
    assert lengths.sum() / (longest * np.diff(borders)).sum() > 0.97
    assert abs(np.corrcoef(longest[1:], longest[:-1])[0, 1]) < 0.2
    assert np.array_equal(order, again)
    assert not np.array_equal(order, other)


def test_nothing_is_planned_by_length_into_no_batch():
    order, borders = plan(np.zeros(0, np.int64), 0, 0, 128, by_length=True)

    assert (len(order), borders.tolist()) == (0, [0])


def test_long_documents_come_first_in_a_batch():
    lengths = natural_lengths(500)

    order, borders = plan(lengths, 0, 0, 1000)

    for first, last in itertools.pairwise(borders):
        assert (np.diff(lengths[order[first:last]]) <= 0).all()


def test_the_same_seed_and_epoch_give_the_same_plan_and_others_another():
    lengths = natural_lengths(300)
    order, _ = plan(lengths, 3, 1, 1000)

    assert np.array_equal(order, plan(lengths, 3, 1, 1000)[0])
    assert not np.array_equal(order, plan(lengths, 3, 2, 1000)[0])
    assert not np.array_equal(order, plan(lengths, 4, 1, 1000)[0])


def test_a_document_longer_than_a_batch_is_refused():
    with pytest.raises(ValueError, match="a document of 12 tokens doesn't fit into a batch of 10"):
        plan(np.array([3, 12]), 0, 0, 10)


def first_fit(order, lengths, batch_tokens):
    """Batches as the plan describes them, in lists: what waits goes before what follows."""
    waiting, following = [], list(order)
    while waiting or following:
        batch, left, still = [], batch_tokens, []
        for document in waiting:
            if lengths[document] <= left:
                batch.append(document)
                left -= lengths[document]
            else:
                still.append(document)
        while left > 0 and following and len(still) < LOOK_AHEAD:
            document = following.pop(0)
            if lengths[document] <= left:
                batch.append(document)
                left -= lengths[document]
            else:
                still.append(document)
        waiting = still
        yield sorted(batch, key=lambda document: -lengths[document])


@settings(deadline=None)
@given(
    own=st.lists(st.one_of(st.integers(1, 4), st.integers(1, 100)), max_size=600),
    seed=st.integers(0, 3),
    kind=st.sampled_from([np.int16, np.int64]),
)
def test_a_plan_in_one_array_is_first_fit_of_the_shuffled_documents(own, seed, kind):
    lengths = np.array(own, kind)

    order, borders = plan(lengths, seed, 1, 100)

    shuffled = generator(seed, 1, 0).permutation(len(own))
    expected = [list(map(int, batch)) for batch in first_fit(shuffled, own, 100)]
    assert [order[first:last].tolist() for first, last in itertools.pairwise(borders)] == expected
    assert batch_sizes(lengths, order, borders).tolist() == [sum(own[one] for one in batch) for batch in expected]


@pytest.mark.parametrize("by_length", [False, True])
def test_what_is_worked_on_at_once_changes_nothing(monkeypatch, by_length):
    lengths = natural_lengths(3000)
    expected = plan(lengths, 0, 0, 300, by_length=by_length)
    monkeypatch.setattr(planning, "BATCHES_AT_ONCE", 3)
    monkeypatch.setattr(planning, "ADDED_AT_ONCE", 50)

    found = plan(lengths, 0, 0, 300, by_length=by_length)

    assert all(map(np.array_equal, found, expected))
    assert found[0].dtype == np.int32
    assert np.array_equal(batch_sizes(lengths, *found), np.add.reduceat(lengths[found[0]], found[1][:-1]))


def test_documents_in_rows_may_come_more_than_once():
    lengths = np.array([5, 1, 9, 4])

    order, borders = plan(lengths, 0, 0, 10, rows=np.array([3, 0, 3, 2]))

    assert sorted(order.tolist()) == [0, 2, 3, 3]
    assert batch_sizes(lengths, order, borders).sum() == 22


def test_a_plan_of_many_documents_takes_little_more_than_their_order():
    lengths = np.full(2_000_000, 20, np.int16)
    plan(lengths[:10], 0, 0, 4096)  # compiles

    tracemalloc.start()
    order, _ = plan(lengths, 0, 0, 4096)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert order.nbytes == 8_000_000
    assert most < 1.5 * order.nbytes


def test_a_given_order_may_be_a_selection():
    order, borders = in_order(np.array([5, 1, 9, 4]), np.array([3, 0]), 10)

    assert (order.tolist(), borders.tolist()) == ([0, 3], [0, 2])


def test_a_random_stream_belongs_to_its_batch_and_purpose():
    generator(1, 2, 3).random(1000)

    first = generator(1, 2, 4).random(4)

    assert np.array_equal(first, generator(1, 2, 4).random(4))
    others = [(1, 2, 5), (1, 3, 4), (2, 2, 4)]
    assert all(not np.array_equal(first, generator(*place).random(4)) for place in others)
    assert not np.array_equal(first, generator(1, 2, 4, DROPOUT).random(4))


def make_course(lengths, **settings):
    plain = {"learning_rate": 1e-3, "max_seq_length": 16, "per_device_batch_tokens": 32, **settings}
    return Course(lengths, validate(Training, plain), seed=0)


def test_the_log_says_how_many_examples_share_a_batch():
    short = make_course(np.full(4000, 2), num_train_epochs=3)

    assert short.description == "750 steps over 4,000 examples of 8,000 tokens, about 16 a batch"


def test_a_run_of_epochs_has_as_many_steps_as_windows():
    lengths = np.full(10, 16)  # 5 batches an epoch

    assert make_course(lengths, num_train_epochs=3).num_steps == 15
    assert make_course(lengths, num_train_epochs=3, gradient_accumulation_steps=2).num_steps == 8
    assert make_course(lengths, num_train_epochs=0.4).num_steps == 2
    assert make_course(lengths, max_steps=7).num_steps == 7


def test_a_run_of_tokens_ends_with_the_step_that_reaches_them():
    lengths = np.full(10, 16)

    assert make_course(lengths, max_tokens=32 * 7).num_steps == 7
    assert make_course(lengths, max_tokens=32 * 7 + 1).num_steps == 8


def test_windows_go_on_across_epochs_and_use_every_batch_once():
    course = make_course(np.full(10, 16), max_steps=4, gradient_accumulation_steps=3)
    place, seen = (0, 0), []
    for _ in range(4):
        window = course.window(*place, 0)
        seen += window
        place = course.following(*window[-1])

    assert seen == [(0, 0), (0, 1), (0, 2), (0, 3), (0, 4), *[(1, b) for b in range(5)], (2, 0), (2, 1)]


def test_an_empty_split_is_bad_data():
    with pytest.raises(DataError, match="nothing to train on"):
        make_course(np.zeros(0, np.int64), max_steps=1)


def test_a_step_grows_to_its_whole_size_while_the_batch_is_warmed_up():
    lengths = np.full(400, 100)
    training = validate(
        Training,
        {
            "learning_rate": 1e-3,
            "max_seq_length": 128,
            "per_device_batch_tokens": 1000,
            "num_train_epochs": 1,
            "gradient_accumulation_steps": 4,
            "batch_warmup_steps": 4,
        },
    )

    course = Course(lengths, training, 0)

    sizes = [course.window_size(step) for step in range(course.num_steps)]
    assert sizes[:6] == [1, 1, 2, 3, 4, 4]
    assert sum(sizes[:-1]) < course.num_batches(0) <= sum(sizes)
    assert len(course.window(0, 0, 2)) == 2
