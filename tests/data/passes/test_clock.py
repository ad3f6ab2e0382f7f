import time

import numba as nb
import pytest
from bmtool.data.passes.clock import Clock


def spend(seconds):
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def test_steps_add_up_by_name():
    watch = Clock()

    for name, seconds in (("a", 0.02), ("b", 0.01), ("a", 0.02)):
        with watch.step(name, 5):
            spend(seconds)

    assert watch.bytes == {"a": 10, "b": 5}
    assert watch.seconds["a"] == pytest.approx(0.04, abs=0.01)
    assert watch.seconds["b"] == pytest.approx(0.01, abs=0.01)


def test_compiling_is_not_counted_and_what_runs_besides_is():
    @nb.njit
    def inner(x):
        return x + 1

    @nb.njit
    def outer(x):
        return inner(x) * 2

    watch = Clock()
    started = time.thread_time()
    with watch.step("a"):
        outer(1)
        spend(0.02)
    whole = time.thread_time() - started

    assert whole > 0.05
    assert 0.02 <= watch.seconds["a"] < 0.5 * whole


def fail_after(watch, seconds):
    with watch.step("a"):
        spend(seconds)
        raise ValueError("no")


def test_a_step_that_fails_is_counted_too():
    watch = Clock()

    with pytest.raises(ValueError, match="no"):
        fail_after(watch, 0.01)

    assert watch.seconds["a"] >= 0.01
