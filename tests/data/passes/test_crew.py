"""A leader loads what its workers need, once, and is gone with them."""

import os
import signal
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from bmtool.data.passes import workers as module
from bmtool.data.passes.workers import run_one, run_tasks, summon
from bmtool.errors import TryAgainError

WORK = """
import os
import threading

LOADED = []

def load():
    LOADED.append(os.getpid())

def load_badly():
    threading.Thread(target=threading.Event().wait, daemon=True).start()

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


def test_libraries_are_loaded_once_for_all_workers(work):
    summon(2, work.load)

    found = list(run_tasks(work.who, range(6), workers=2, **ASKED))

    leaders = {leader for _, leader, _, _ in found}
    assert len({pid for pid, *_ in found}) == 2
    assert len(leaders) == 1
    assert all(loaded == list(leaders) for *_, loaded, _ in found)


def test_workers_begin_with_one_thread(work):
    found = list(run_tasks(work.who, range(4), workers=2, **ASKED))

    assert {threads for *_, threads in found} == {1}


def test_a_leader_with_threads_forks_no_worker(work, capfd):
    summon(2, work.load_badly)

    with pytest.raises(TryAgainError, match="a worker process ended with code 1"):
        list(run_tasks(work.who, range(4), workers=2, **ASKED))

    assert "a library started 1 threads before the workers were forked" in capfd.readouterr().err


def test_a_single_piece_of_work_is_done_by_a_worker_that_waits_or_here(work):
    here = run_one(work.who, 0, **ASKED)[0]
    summon(2, work.load)
    there = [run_one(work.who, 0, **ASKED)[0] for _ in range(2)]

    assert here == os.getpid()
    assert os.getpid() not in there


def test_one_worker_is_this_process(work):
    summon(1, work.load)

    assert run_one(work.who, 0, **ASKED)[0] == os.getpid()


def test_dismissed_workers_are_gone_at_once(work):
    pids = {pid for pid, *_ in run_tasks(work.who, range(6), workers=2, **ASKED)}

    module.dismiss()

    assert all(is_gone(pid) for pid in pids)


def test_a_killed_leader_takes_its_workers_along_and_ends_the_run(work):
    pid, leader, *_ = next(iter(list(run_tasks(work.who, range(4), workers=2, **ASKED))))

    os.kill(leader, signal.SIGKILL)

    with pytest.raises(TryAgainError, match=r"a worker process was killed \(signal 9\)"):
        list(run_tasks(work.who, range(4), workers=2, **ASKED))
    deadline = time.monotonic() + 5
    while not is_gone(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert is_gone(pid)
