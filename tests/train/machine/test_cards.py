"""A busy card is named and refused, or waited for."""

from types import SimpleNamespace

import pytest
from bmtool.console import Console
from bmtool.errors import StoppedError, TryAgainError
from bmtool.train.machine.cards import Card, wait_for_card

GB = 10**9
BUSY = Card("NVIDIA A10 (cuda:0)", 24 * GB, 20 * GB, (4711, 4712))
FREE = Card("NVIDIA A10 (cuda:0)", 24 * GB, 1 * GB)
GOING_ON = SimpleNamespace(reason="")


def looks(*cards):
    left = list(cards)
    return lambda: left.pop(0) if len(left) > 1 else left[0]


def test_a_free_card_is_taken_at_once():
    wait_for_card(looks(FREE), 0.0, Console(), GOING_ON)


def test_a_busy_card_is_named_and_refused():
    with pytest.raises(TryAgainError) as error:
        wait_for_card(looks(BUSY), 0.0, Console(), GOING_ON)

    assert str(error.value) == (
        "the card is busy: NVIDIA A10 (cuda:0): 20.0 of 24.0 GB are used, by process 4711, 4712. "
        "Wait for it with --wait 2h, or take another by CUDA_VISIBLE_DEVICES"
    )


def test_a_busy_card_is_waited_for(capsys):
    wait_for_card(looks(BUSY, BUSY, FREE), 60.0, Console(), GOING_ON, poll_seconds=0.01)

    assert "waiting up to 60 s for NVIDIA A10 (cuda:0): 20.0 of 24.0 GB are used" in capsys.readouterr().err


def test_waiting_has_an_end_and_can_be_stopped():
    with pytest.raises(TryAgainError):
        wait_for_card(looks(BUSY), 0.05, Console(), GOING_ON, poll_seconds=0.01)
    with pytest.raises(StoppedError):
        wait_for_card(looks(BUSY), 60.0, Console(), SimpleNamespace(reason="Ctrl-C"), poll_seconds=0.01)
