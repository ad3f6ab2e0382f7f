"""Run one function over many tasks, in this process or in several, and give the results in the order of the tasks.

Workers are processes of their own, started afresh: they hold no lock and no thread of the run, and die with it. What a
worker does is a pure function of its task, so how many there are changes nothing but the time. Tasks and results go
through a pipe between the two; nothing that is pickled is ever read from a file.
"""

from __future__ import annotations

import ctypes
import importlib
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain, islice
from multiprocessing import Pipe
from multiprocessing.connection import Connection, wait
from typing import TYPE_CHECKING, Any, TypeVar

from bmtool.data.processors import usable_processors
from bmtool.errors import BmtoolError, TryAgainError, stopped

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from bmtool.contracts import Stop

T = TypeVar("T")
R = TypeVar("R")

#: A step calls it every now and then with how far it came; it raises where the run was asked to stop.
Tick = Callable[[int], None]

#: Tasks a worker may be ahead of the first result that is still missing; it bounds what waits in memory.
AHEAD = 2

#: Seconds between two looks at whether the run was asked to stop.
LOOK_SECONDS = 0.2

SAVED = "what is done is kept"


@dataclass
class _Worker:
    process: subprocess.Popen[bytes]
    connection: Connection
    task: int | None = None


def run_tasks(
    function: Callable[[T, Tick], R], tasks: Iterable[T], *, workers: int, stop: Stop, advance: Tick
) -> Iterator[R]:
    """`function(task, tick)` of each task, in order.

    Args:
        function: importable by name, since workers look it up.
        tasks: taken one by one, not much ahead of what is worked on.
        workers: 1 works in this process.
        stop: looked at all the time; work in hand is thrown away.
        advance: called with what the function told `tick`.

    Raises:
        TryAgainError, StoppedError: the run was asked to stop, or a worker was killed.
        BmtoolError: what `function` raised.
    """
    tasks = iter(tasks)
    first = list(islice(tasks, 2)) if workers > 1 else []
    has_several = len(first) > 1
    tasks = chain(first, tasks)
    del first  # a task may hold a whole piece of a file
    if has_several:
        yield from _run_in_processes(function, tasks, workers, stop, advance)
        return

    def tick(amount: int) -> None:
        if stop.reason:
            raise stopped(stop.reason, SAVED)
        advance(amount)

    for task in tasks:
        tick(0)
        yield function(task, tick)


#: Workers that wait for more to do: to start one takes a second, in which it loads its libraries.
_idle: list[_Worker] = []


def dismiss() -> None:
    """End the workers that wait for more to do."""
    while _idle:
        _end(_idle.pop())


def _run_in_processes(
    function: Callable[[T, Tick], R], tasks: Iterable[T], workers: int, stop: Stop, advance: Tick
) -> Iterator[R]:
    crew: list[_Worker] = []
    is_done = False
    try:
        crew.extend(_idle.pop() if _idle else _start() for _ in range(workers))
        yield from _results(crew, (function.__module__, function.__qualname__), iter(tasks), stop, advance)
        is_done = True
    finally:
        if is_done:
            _idle.extend(crew)
        else:
            for worker in crew:
                _end(worker)


def _end(worker: _Worker) -> None:
    worker.process.kill()
    worker.process.wait()
    worker.connection.close()


def _start() -> _Worker:
    here, there = Pipe()
    # -P: without it the current folder comes first, and a file of the user's called json.py would be imported.
    command = [sys.executable, "-P", "-m", __name__, str(there.fileno())]
    # One thread each: the processes are what runs side by side.
    environment = {**os.environ, "RAYON_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    with there:
        # In a group of its own: Ctrl-C reaches the run alone, which then ends its workers.
        process = subprocess.Popen(
            command, pass_fds=[there.fileno()], stdin=subprocess.DEVNULL, env=environment, process_group=0
        )
    return _Worker(process, here)


def _results(
    crew: list[_Worker], function: tuple[str, str], tasks: Iterator[Any], stop: Stop, advance: Tick
) -> Iterator[Any]:
    """`function` is named by its module and its name there."""
    done: dict[int, Any] = {}
    given = taken = 0
    has_more = True
    while has_more or taken < given:
        for worker in crew:
            if has_more and worker.task is None and given < taken + AHEAD * len(crew):
                task = next(tasks, None)
                if task is None:
                    has_more = False
                    break
                _send(worker, (*function, task), stop)
                worker.task, given = given, given + 1
        if stop.reason:
            raise stopped(stop.reason, SAVED)
        for connection in wait([worker.connection for worker in crew if worker.task is not None], LOOK_SECONDS):
            worker = next(one for one in crew if one.connection is connection)
            kind, value = _receive(worker, stop)
            if kind == "tick":
                advance(value)
            elif kind == "error":
                raise value
            else:
                done[worker.task or 0], worker.task = value, None
        while taken in done:
            yield done.pop(taken)
            taken += 1


def _send(worker: _Worker, task: Any, stop: Stop) -> None:
    try:
        worker.connection.send(task)
    except OSError:
        raise _lost(worker, stop) from None


def _receive(worker: _Worker, stop: Stop) -> tuple[str, Any]:
    try:
        kind, value = worker.connection.recv()
    except (EOFError, OSError):  # between two messages, or in the middle of one
        raise _lost(worker, stop) from None
    if kind == "bug":
        raise RuntimeError(f"in a worker process:\n{value}")
    return kind, value


def _lost(worker: _Worker, stop: Stop) -> BmtoolError:
    code = worker.process.wait()
    if stop.reason:  # a whole service was told to end: its workers got the signal, too
        return stopped(stop.reason, SAVED)
    how = f"was killed (signal {-code})" if code < 0 else f"ended with code {code}"
    return TryAgainError(
        f"a worker process {how}; {SAVED}. Too little memory? Then set runtime.workers lower. "
        "The same command goes on from there"
    )


def _serve(connection: Connection) -> None:
    """Answer tasks until the other side is gone."""
    while True:
        try:
            module, name, task = connection.recv()
        except EOFError:
            return
        try:
            function = getattr(importlib.import_module(module), name)
            connection.send(("result", function(task, lambda amount: connection.send(("tick", amount)))))
        except (BmtoolError, OSError) as error:
            connection.send(("error", error))
        except Exception:  # noqa: BLE001  # told to the run, which ends with it
            connection.send(("bug", traceback.format_exc()))


def _die_with_parent() -> None:
    """Ask Linux to kill this process when the run is gone."""
    set_parent_death_signal = 1  # PR_SET_PDEATHSIG, prctl(2)
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)


#: Below this much text for each, starting a worker costs more than it brings.
WORKER_BYTES = 16 * 1024 * 1024


def num_workers(wanted: int | None, total_bytes: int) -> tuple[int, str]:
    """How many workers, and why."""
    if wanted is not None:
        return wanted, f"runtime.workers is {wanted}"
    free, reason = usable_processors()
    useful = max(1, total_bytes // WORKER_BYTES)
    if useful < free:
        return int(useful), f"{total_bytes / 1e6:,.0f} MB are too little for more"
    return free, reason


def main(descriptor: str) -> None:
    """What a worker process runs."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _die_with_parent()
    with Connection(int(descriptor)) as connection:
        _serve(connection)


if __name__ == "__main__":
    main(*sys.argv[1:])
