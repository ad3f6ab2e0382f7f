"""A leader loads what its workers need, once, and is gone with them."""

import os
import signal
import sys
import time
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest
from bmtool.data.passes import workers as module
from bmtool.data.passes.crew import start_crew
from bmtool.data.passes.workers import WORKER_BYTES, run_one, run_tasks, sharing_workers, summon
from bmtool.errors import TryAgainError

WORK = """
import os
import signal
import threading

LOADED = []

def load():
    LOADED.append(os.getpid())

def load_badly():
    threading.Thread(target=threading.Event().wait, daemon=True).start()

def load_and_be_ended_in_a_fork():
    os.register_at_fork(before=lambda: os.kill(os.getpid(), signal.SIGTERM))

def who(task, tick):
    return os.getpid(), os.getppid(), list(LOADED), len(os.listdir("/proc/self/task"))
"""

ASKED = {"stop": SimpleNamespace(reason=""), "advance": lambda _: None}


@pytest.fixture
def work(tmp_path, monkeypatch):
    """A module that workers can import; all workers are gone afterwards."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "work_for_a_crew.py").write_text(WORK)
    monkeypatch.syspath_prepend(tmp_path / "code")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path / "code"), *filter(None, sys.path)]))
    sys.modules.pop("work_for_a_crew", None)
    import work_for_a_crew

    yield work_for_a_crew
    module.dismiss()


def is_gone(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def wait_until_gone(*pids):
    deadline = time.monotonic() + 5
    while not all(is_gone(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert all(is_gone(pid) for pid in pids)


def test_libraries_are_loaded_once_for_all_workers(work):
    with sharing_workers(work.load):
        summon(2, 2 * WORKER_BYTES)

        found = list(run_tasks(work.who, range(6), workers=2, **ASKED))

    leaders = {leader for _, leader, _, _ in found}
    assert len({pid for pid, *_ in found}) == 2
    assert len(leaders) == 1
    assert all(loaded == list(leaders) for *_, loaded, _ in found)


def test_a_leader_that_is_ended_while_it_forks_ends_with_its_workers(work):
    crew = start_crew(2, "work_for_a_crew", "load_and_be_ended_in_a_fork")

    try:
        assert crew.leader.wait(timeout=20) == 0
    finally:
        crew.leader.kill()
        crew.end()


def test_workers_begin_with_one_thread(work):
    found = list(run_tasks(work.who, range(4), workers=2, **ASKED))

    assert {threads for *_, threads in found} == {1}


def test_a_leader_with_threads_forks_no_worker(work, capfd):
    with (
        sharing_workers(work.load_badly),
        pytest.raises(TryAgainError, match="a worker process ended with code 1"),
    ):
        list(run_tasks(work.who, range(4), workers=2, **ASKED))

    assert "a library started 1 threads before the workers were forked" in capfd.readouterr().err


def test_a_single_piece_of_work_is_done_by_a_worker_that_waits_or_here(work):
    here = run_one(work.who, 0, **ASKED)[0]
    with sharing_workers(work.load):
        summon(2, 2 * WORKER_BYTES)

        there = [run_one(work.who, 0, **ASKED)[0] for _ in range(2)]

    assert here == os.getpid()
    assert os.getpid() not in there


@pytest.mark.parametrize(("wanted", "total_bytes"), [(1, 10 * WORKER_BYTES), (2, WORKER_BYTES)])
def test_no_worker_is_started_ahead_that_this_much_text_does_not_need(work, wanted, total_bytes):
    with sharing_workers(work.load):
        summon(wanted, total_bytes)

        assert run_one(work.who, 0, **ASKED)[0] == os.getpid()


def test_workers_that_were_not_summoned_load_libraries_once_too_and_go_at_the_end(work):
    with sharing_workers(work.load):
        found = list(run_tasks(work.who, range(4), workers=2, **ASKED))

    assert {tuple(loaded) for *_, loaded, _ in found} == {(found[0][1],)}
    wait_until_gone(*{pid for pid, *_ in found})


def test_dismissed_workers_are_gone_at_once(work):
    pids = {pid for pid, *_ in run_tasks(work.who, range(6), workers=2, **ASKED)}

    module.dismiss()

    assert all(is_gone(pid) for pid in pids)


def test_a_killed_leader_takes_its_workers_along_and_ends_the_run(work):
    pid, leader, *_ = next(iter(list(run_tasks(work.who, range(4), workers=2, **ASKED))))

    os.kill(leader, signal.SIGKILL)

    with pytest.raises(TryAgainError, match=r"a worker process was killed \(signal 9\)"):
        list(run_tasks(work.who, count(), workers=2, **ASKED))  # they may do some more before they are gone
    wait_until_gone(pid)
