"""Batches that are made ahead: those that are asked for, made once, and their errors in their place."""

import threading

import pytest
import torch
from bmtool.train.loading import Loader


@pytest.fixture
def loader():
    loader = Loader(is_ahead=True)
    yield loader
    loader.close()


def test_what_was_told_is_made_in_another_thread_and_once(loader):
    made = []

    def make():
        made.append(threading.current_thread())
        return ["a batch"]

    loader.tell("here", make)

    assert loader.batches("here", make) == ["a batch"]
    assert len(made) == 1
    assert made[0] is not threading.current_thread()


def test_another_place_than_was_told_gets_its_own_batches(loader):
    loader.tell("here", lambda: ["another batch"])

    assert loader.batches("there", lambda: ["a batch"]) == ["a batch"]
    assert loader.batches("here", lambda: ["made again"]) == ["made again"]


def test_an_error_is_raised_where_its_batch_is_asked_for(loader):
    def make():
        raise ValueError("a broken text")

    loader.tell("here", make)

    with pytest.raises(ValueError, match="a broken text"):
        loader.batches("here", list)


def test_an_error_of_a_batch_that_nobody_asks_for_is_no_error(loader):
    def make():
        raise ValueError("a broken text")

    loader.tell("here", make)

    assert loader.batches("there", list) == []


def test_on_a_cpu_nothing_is_made_before_it_is_asked_for():
    made = []
    loader = Loader.of(torch.device("cpu"))
    loader.tell("here", lambda: made.append(1))
    loader.close()

    assert not loader.is_ahead
    assert made == []
