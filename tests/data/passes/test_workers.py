"""Tasks in several processes: the results and errors of one process, no process left over, never a hang."""

import errno
import os
import signal
import subprocess
import sys
import time
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest
from bmtool.data.passes import workers as module
from bmtool.data.passes.workers import num_workers, run_beside, run_tasks
from bmtool.errors import DataError, StoppedError, TryAgainError

WORK = """
import errno, os, signal, time
from bmtool.errors import DataError

def square(task, tick):
    tick(task)
    return task * task

def slow_first(task, tick):
    time.sleep(0.5 if task == 0 else 0)
    return task

def pid(task, tick):
    time.sleep(0.05)
    return os.getpid()

def length(task, tick):
    return len(task)

def bad_data(task, tick):
    raise DataError(f"row {task} is bad")

def full_disk(task, tick):
    raise OSError(errno.ENOSPC, "No space left on device", "/some/file")

def no_memory(task, tick):
    raise MemoryError("malloc of size 99 failed")

def bug(task, tick):
    return 1 / 0

def until_there(task, tick):
    while not os.path.exists(task):
        time.sleep(0.01)
    return os.getpid()

def forever(task, tick):
    open(task, "w").write(str(os.getpid()))
    while True:
        time.sleep(0.01)

def ticking_forever(task, tick):
    while True:
        tick(1)

def die(task, tick):
    if task == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return task

def die_in_a_message(task, tick):
    if task == 1:
        from multiprocessing.connection import Connection
        import gc, struct
        [there] = [one for one in gc.get_objects() if isinstance(one, Connection) and not one.closed]
        os.write(there.fileno(), struct.pack("!i", 1000) + b"only a part")
        os._exit(3)
    return task
"""


@pytest.fixture
def work(tmp_path, monkeypatch):
    """A module that workers can import."""
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "work_for_workers.py").write_text(WORK)
    monkeypatch.syspath_prepend(tmp_path / "code")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "code"), prepend=":")
    sys.modules.pop("work_for_workers", None)
    import work_for_workers

    return work_for_workers


def results(function, tasks, workers, stop=None, advance=lambda _: None):
    stop = stop or SimpleNamespace(reason="")
    try:
        return list(run_tasks(function, tasks, workers=workers, stop=stop, advance=advance))
    finally:
        module.dismiss()


def children():
    """Processes that this one has started and that haven't ended."""
    found = []
    for path in Path("/proc").iterdir():
        if path.name.isdecimal():
            try:
                fields = (path / "stat").read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(fields[1]) == os.getpid() and fields[0] != "Z":
                found.append(int(path.name))
    return found


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def gone_after(pid, seconds):
    deadline = time.monotonic() + seconds
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not is_running(pid)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_results_come_in_the_order_of_the_tasks_and_every_tick_arrives(work, workers):
    ticks = []

    found = results(work.square, range(20), workers, advance=ticks.append)

    assert found == [n * n for n in range(20)]
    assert sum(ticks) == sum(range(20))
    assert children() == []


def test_a_slow_task_holds_nobody_back_and_keeps_its_place(work):
    assert results(work.slow_first, range(8), 2) == list(range(8))


def test_a_task_beside_others_is_done_by_one_worker_while_the_others_go_on(work, tmp_path):
    stop = SimpleNamespace(reason="")
    list(run_tasks(work.pid, range(2), workers=2, stop=stop, advance=lambda _: None))

    beside = run_beside(work.until_there, str(tmp_path / "there"), stop=stop)
    others = set(run_tasks(work.pid, range(4), workers=2, stop=stop, advance=lambda _: None))
    (tmp_path / "there").touch()

    try:
        assert len({beside.result(), *others}) == 2
        assert beside.result() not in others
    finally:
        module.dismiss()


def test_a_task_beside_others_is_done_here_where_there_are_no_workers(work):
    beside = run_beside(work.pid, 0, stop=SimpleNamespace(reason=""))

    assert beside.result() == os.getpid()


def test_an_error_beside_others_ends_them(work):
    stop = SimpleNamespace(reason="")
    list(run_tasks(work.pid, range(2), workers=2, stop=stop, advance=lambda _: None))

    run_beside(work.bad_data, 7, stop=stop)

    with pytest.raises(DataError, match="row 7 is bad"):
        list(run_tasks(work.pid, range(20), workers=2, stop=stop, advance=lambda _: None))
    assert children() == []


def test_several_processes_work_and_none_of_them_is_this_one(work):
    found = set(results(work.pid, range(12), 3))

    assert len(found) == 3
    assert os.getpid() not in found


def test_the_next_function_finds_the_workers_of_the_last(work):
    stop = SimpleNamespace(reason="")
    first = set(run_tasks(work.pid, range(12), workers=2, stop=stop, advance=lambda _: None))
    squares = list(run_tasks(work.square, range(12), workers=2, stop=stop, advance=lambda _: None))
    again = set(run_tasks(work.pid, range(12), workers=2, stop=stop, advance=lambda _: None))

    module.dismiss()

    assert first == again
    assert squares == [n * n for n in range(12)]
    assert children() == []


@pytest.mark.parametrize("tasks", [[], [7]])
def test_for_no_task_or_one_no_process_is_started(work, tasks, monkeypatch):
    monkeypatch.setattr(module, "start_crew", None)

    assert results(work.square, tasks, 4) == [n * n for n in tasks]


def test_tasks_are_taken_as_they_are_worked_on(work):
    taken = []
    tasks = (taken.append(n) or n for n in count())
    running = run_tasks(work.square, tasks, workers=2, stop=SimpleNamespace(reason=""), advance=lambda _: None)

    first = [next(running) for _ in range(3)]
    held = len(taken)
    running.close()

    assert first == [0, 1, 4]
    assert held <= 3 + 2 * module.AHEAD
    assert children() == []


@pytest.mark.parametrize("workers", [1, 2])
def test_a_task_as_large_as_a_piece_goes_through(work, workers):
    assert results(work.length, [b"x" * 20_000_000, b"y" * 70_000_000], workers) == [20_000_000, 70_000_000]


@pytest.mark.parametrize("workers", [1, 2])
def test_an_error_of_the_user_comes_out_as_it_is(work, workers):
    with pytest.raises(DataError, match=r"^row 0 is bad$"):
        results(work.bad_data, [0, 0], workers)

    assert children() == []


@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk_is_the_same_error_in_a_worker(work, workers):
    with pytest.raises(OSError, match="No space left on device: '/some/file'") as error:
        results(work.full_disk, [0, 0], workers)

    assert (error.value.errno, error.value.filename) == (errno.ENOSPC, "/some/file")


@pytest.mark.parametrize("workers", [1, 2])
def test_too_little_memory_is_the_same_error_in_a_worker(work, workers):
    with pytest.raises(MemoryError, match="malloc of size 99 failed"):
        results(work.no_memory, [0, 0], workers)


def test_a_bug_in_a_worker_shows_where_it_was(work):
    with pytest.raises(RuntimeError, match=r"(?s)in a worker process:.*return 1 / 0.*ZeroDivisionError"):
        results(work.bug, [0, 0], 2)

    assert children() == []


def test_a_killed_worker_ends_the_run_with_try_again(work):
    with pytest.raises(TryAgainError) as error:
        results(work.die, range(4), 2)

    assert str(error.value) == (
        "a worker process was killed (signal 9); what is done is kept. Too little memory? Then set runtime.workers "
        "lower. The same command goes on from there"
    )
    assert children() == []


def test_a_worker_that_ends_within_a_message_is_a_lost_worker(work):
    with pytest.raises(TryAgainError, match="a worker process ended with code 3"):
        results(work.die_in_a_message, range(4), 2)


def test_a_worker_that_is_killed_while_the_run_is_told_to_stop_is_no_accident(work):
    stop = SimpleNamespace(reason="")
    running = run_tasks(work.pid, count(), workers=2, stop=stop, advance=lambda _: None)
    os.kill(next(running), signal.SIGTERM)
    stop.reason = "SIGTERM"

    with pytest.raises(TryAgainError, match=r"^stopped by SIGTERM; what is done is kept"):
        list(running)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(("reason", "kind"), [("Ctrl-C", StoppedError), ("--max-time", TryAgainError)])
def test_a_request_to_stop_ends_all_work_at_once(work, workers, reason, kind):
    stop = SimpleNamespace(reason="")
    started = []

    def advance(_):
        if not started:
            started.append(time.monotonic())
            stop.reason = reason

    with pytest.raises(kind, match=f"stopped by {reason}"):
        results(work.ticking_forever, [0, 0], workers, stop, advance)

    assert time.monotonic() - started[0] < 1
    assert children() == []


def test_work_that_never_ticks_is_ended_as_well(work, tmp_path):
    files = [tmp_path / "a", tmp_path / "b"]

    class Stop:
        @property
        def reason(self):
            return "SIGTERM" if all(one.exists() and one.read_text() for one in files) else ""

    with pytest.raises(TryAgainError):
        results(work.forever, files, 2, Stop())

    assert not any(is_running(int(one.read_text())) for one in files)


PARENT = """
import sys
from types import SimpleNamespace
import work_for_workers
from bmtool.data.passes.workers import run_tasks
list(run_tasks(work_for_workers.forever, sys.argv[1:], workers=2, stop=SimpleNamespace(reason=""), advance=print))
"""


def test_workers_end_within_a_second_of_a_run_that_was_killed(work, tmp_path):
    files = [tmp_path / "a", tmp_path / "b"]
    with subprocess.Popen([sys.executable, "-c", PARENT, *files]) as parent:
        while not all(one.exists() and one.read_text() for one in files):
            time.sleep(0.02)

        parent.kill()

    assert all(gone_after(int(one.read_text()), 1) for one in files)


def test_a_file_of_the_user_is_not_taken_for_a_module(work, tmp_path, monkeypatch):
    (tmp_path / "pickle.py").write_text("raise SystemExit('not mine')")
    (tmp_path / "bmtool.py").write_text("raise SystemExit('not mine')")
    monkeypatch.chdir(tmp_path)

    assert results(work.square, [2, 3], 2) == [4, 9]


def test_the_number_of_workers_has_a_reason(monkeypatch):
    monkeypatch.setattr(module, "usable_processors", lambda: (8, "8 processors may be used"))

    assert num_workers(3, 0) == (3, "runtime.workers is 3")
    assert num_workers(None, 5_000_000) == (1, "5 MB are too little for more")
    assert num_workers(None, 50 * 1024**2) == (3, "52 MB are too little for more")
    assert num_workers(None, 10**12) == (8, "8 processors may be used")
