import os
import signal
import time

import pytest
from bmtool.errors import StoppedError, TryAgainError
from bmtool.runner.stop import StopRequest


def wait_for(condition, seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)


@pytest.fixture
def hangup():
    """Sets what a hangup does when listening begins: what started the tests may have it ignored."""
    before = signal.getsignal(signal.SIGHUP)
    yield lambda action: signal.signal(signal.SIGHUP, action)
    signal.signal(signal.SIGHUP, before)


def is_asked(stop) -> bool:
    """Whether there is a reason, without the promise that reading it is."""
    return bool(stop._reason)


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (signal.SIGTERM, "SIGTERM"),
        (signal.SIGUSR1, "SIGUSR1"),
        (signal.SIGINT, "Ctrl-C"),
        (signal.SIGHUP, "SIGHUP (the terminal is gone)"),
    ],
)
def test_a_signal_is_a_reason_and_no_exception(number, reason, hangup):
    hangup(signal.SIG_DFL)
    stop = StopRequest()

    with stop.listening():
        before = stop.reason
        os.kill(os.getpid(), number)
        wait_for(lambda: is_asked(stop))
        after = stop.reason

    assert (before, after) == ("", reason)


def test_under_nohup_a_hangup_is_no_reason(hangup):
    hangup(signal.SIG_IGN)
    stop = StopRequest()

    with stop.listening():
        os.kill(os.getpid(), signal.SIGHUP)
        time.sleep(0.1)

        assert not stop.reason


def test_time_that_is_over_is_a_reason():
    stop = StopRequest(max_seconds=0.05)

    with stop.listening():
        wait_for(lambda: is_asked(stop))

        assert stop.reason == "--max-time"


def test_a_stage_that_does_not_listen_is_ended_after_the_grace(monkeypatch):
    monkeypatch.setattr("bmtool.runner.stop.GRACE_SECONDS", 0.1)

    def stubborn() -> None:
        with StopRequest().listening():
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)

    with pytest.raises(TryAgainError, match="stopped by SIGTERM"):
        stubborn()


def test_a_stage_that_looks_after_each_long_step_is_waited_for(monkeypatch):
    monkeypatch.setattr("bmtool.runner.stop.GRACE_SECONDS", 0.01)
    stop = StopRequest()

    with stop.listening():
        looks = []
        for step in range(3):
            looks.append(stop.reason)
            if step == 1:
                os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(0.2)
        looks.append(stop.reason)

    assert looks == ["", "", "SIGTERM", "SIGTERM"]


def test_a_second_ctrl_c_ends_at_once():
    stop = StopRequest()

    def impatient() -> None:
        with stop.listening():
            os.kill(os.getpid(), signal.SIGINT)
            wait_for(lambda: is_asked(stop))
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)

    with pytest.raises(StoppedError):
        impatient()


def test_the_handlers_of_before_are_back_afterwards():
    before = signal.getsignal(signal.SIGTERM)

    with StopRequest().listening():
        during = signal.getsignal(signal.SIGTERM)

    assert during != before
    assert signal.getsignal(signal.SIGTERM) == before


def test_signals_and_time_that_were_lent_come_back():
    stop = StopRequest(max_seconds=60)
    seen = []

    with stop.listening():
        with stop.lent() as seconds_left:
            signal.signal(signal.SIGTERM, lambda number, frame: seen.append(number))
            os.kill(os.getpid(), signal.SIGTERM)
            wait_for(lambda: seen)
            clock = signal.getitimer(signal.ITIMER_REAL)[0]
        asked = is_asked(stop)
        back = signal.getitimer(signal.ITIMER_REAL)[0]
        os.kill(os.getpid(), signal.SIGTERM)
        wait_for(lambda: is_asked(stop))

        assert stop.reason == "SIGTERM"

    assert (seen, clock, asked) == ([signal.SIGTERM], 0, False)
    assert 50 < back <= seconds_left <= 60


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1])
def test_where_nothing_is_made_yet_a_signal_is_the_end(number):
    stop = StopRequest()

    def plan() -> None:
        with stop.listening(), stop.at_once():
            os.kill(os.getpid(), number)
            time.sleep(5)

    with pytest.raises(TryAgainError, match="what was on the disk is kept"):
        plan()


def test_ctrl_c_where_nothing_is_made_yet_is_pythons_own():
    stop = StopRequest()

    def plan() -> None:
        with stop.listening(), stop.at_once():
            os.kill(os.getpid(), signal.SIGINT)
            time.sleep(5)

    with pytest.raises(KeyboardInterrupt):
        plan()


def test_time_that_is_over_before_anything_is_made_is_the_end_too():
    stop = StopRequest(max_seconds=0.05)

    def plan() -> None:
        with stop.listening(), stop.at_once():
            time.sleep(5)

    with pytest.raises(TryAgainError, match="stopped by --max-time"):
        plan()


def test_a_hangup_that_nohup_wants_ignored_is():
    stop = StopRequest()
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)

    with stop.listening():
        os.kill(os.getpid(), signal.SIGHUP)
        time.sleep(0.05)
        asked = is_asked(stop)
    during = signal.signal(signal.SIGHUP, before)

    assert (asked, during) == (False, signal.SIG_IGN)
