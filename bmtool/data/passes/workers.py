"""Run one function over many tasks, in this process or in several, and give the results in the order of the tasks.

What a worker does is a pure function of its task, so how many there are changes nothing but the time. How workers are
started and ended is in `bmtool.data.passes.crew`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice
from multiprocessing.connection import wait
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from bmtool.data.passes.crew import Crew, Worker, start_crew
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


#: Processes that were started, and those of them that wait for more to do: to start some takes a second, in which
#: libraries are loaded.
_crews: list[Crew] = []
_idle: list[Worker] = []

#: What leaders call before they fork workers, the last one.
_loads: list[Callable[[], None]] = []


@contextmanager
def sharing_workers(load: Callable[[], None]) -> Iterator[None]:
    """Workers that are started inside load libraries by `load`, wait for more when they are done, and end with it."""
    _loads.append(load)
    try:
        yield
    finally:
        _loads.pop()
        dismiss()


def summon(wanted: int | None, total_bytes: int) -> None:
    """Start workers for so much text before the first task is known: they load their libraries meanwhile.

    As many as this much text keeps busy. Where there are more tasks than that, `run_tasks` starts the others.
    """
    workers = min(num_workers(wanted, total_bytes)[0], total_bytes // WORKER_BYTES)
    if workers > 1:
        _add_crew(workers, __name__)


def dismiss() -> None:
    """End all workers."""
    _idle.clear()
    while _crews:
        _crews.pop().end()


def _add_crew(size: int, module: str) -> None:
    """`module` is what a leader imports where nothing else is said."""
    crew = start_crew(size, _loads[-1].__module__, _loads[-1].__qualname__) if _loads else start_crew(size, module)
    _crews.append(crew)
    _idle.extend(crew.workers)


def num_idle() -> int:
    """How many workers wait for more to do."""
    return sum(worker.hand_in is None for worker in _idle)


def run_one(function: Callable[[T, Tick], R], task: T, *, stop: Stop, advance: Tick) -> R:
    """`function(task, tick)`, by a worker that waits for more to do, or here if there is none.

    A worker has loaded the libraries that this process may never need. Errors are those of `run_tasks`.
    """
    if not _idle:
        return next(run_tasks(function, [task], workers=1, stop=stop, advance=advance))
    [result] = _run_in_processes(function, iter([task]), 1, stop, advance)
    return result


@dataclass(eq=False)
class Beside(Generic[R]):
    """A task that a worker does beside others."""

    stop: Stop
    worker: Worker | None = None
    results: list[R] = field(default_factory=list)

    def result(self) -> R:
        """What the function gave; waits for it. Errors are those of `run_tasks`."""
        while not self.results:
            if self.worker is None:
                raise AssertionError("nobody was given this task")
            _listen([self.worker], self.stop, lambda _: None)
        return self.results[0]


def run_beside(function: Callable[[T, Tick], R], task: T, *, stop: Stop) -> Beside[R]:
    """`function(task, tick)` by one worker, while the others go on with what comes next; here if none is idle.

    Such a task must not need what comes next, nor change anything that does.
    """
    beside = Beside[R](stop)
    worker = next((one for one in _idle if one.hand_in is None), None)
    if worker is None:
        beside.results.append(run_one(function, task, stop=stop, advance=lambda _: None))
        return beside
    beside.worker = worker
    _send(worker, (function.__module__, function.__qualname__, task), stop)
    worker.hand_in = beside.results.append
    return beside


def _run_in_processes(
    function: Callable[[T, Tick], R], tasks: Iterable[T], workers: int, stop: Stop, advance: Tick
) -> Iterator[R]:
    if len(_idle) < workers:
        _add_crew(workers - len(_idle), function.__module__)
    _idle.sort(key=lambda worker: worker.hand_in is not None)  # those first that have nothing to do
    crew = [_idle.pop(0) for _ in range(workers)]
    is_done = False
    try:
        yield from _results(crew, (function.__module__, function.__qualname__), iter(tasks), stop, advance)
        is_done = True
    finally:
        if is_done:
            _idle.extend(crew)
        else:
            dismiss()


def _results(
    crew: list[Worker], function: tuple[str, str], tasks: Iterator[Any], stop: Stop, advance: Tick
) -> Iterator[Any]:
    """`function` is named by its module and its name there."""
    done: dict[int, Any] = {}
    given = taken = 0
    has_more = True
    while has_more or taken < given:
        for worker in crew:
            if has_more and worker.hand_in is None and given < taken + AHEAD * len(crew):
                task = next(tasks, None)
                if task is None:
                    has_more = False
                    break
                _send(worker, (*function, task), stop)
                worker.hand_in, given = partial(done.__setitem__, given), given + 1
        if has_more or taken < given:
            _listen(crew, stop, advance)
        while taken in done:
            yield done.pop(taken)
            taken += 1


def _listen(crew: list[Worker], stop: Stop, advance: Tick) -> None:
    """Wait a little for what workers say, and take it."""
    if stop.reason:
        raise stopped(stop.reason, SAVED)
    for connection in wait([worker.connection for worker in crew if worker.hand_in is not None], LOOK_SECONDS):
        worker = next(one for one in crew if one.connection is connection)
        kind, value = _receive(worker, stop)
        if kind == "tick":
            advance(value)
        elif kind == "error":
            raise value
        elif worker.hand_in is not None:
            worker.hand_in(value)
            worker.hand_in = None


def _send(worker: Worker, task: Any, stop: Stop) -> None:
    try:
        worker.connection.send(task)
    except OSError:
        raise _lost(worker, stop) from None


def _receive(worker: Worker, stop: Stop) -> tuple[str, Any]:
    try:
        kind, value = worker.connection.recv()
    except (EOFError, OSError):  # between two messages, or in the middle of one
        raise _lost(worker, stop) from None
    if kind == "bug":
        raise RuntimeError(f"in a worker process:\n{value}")
    return kind, value


def _lost(worker: Worker, stop: Stop) -> BmtoolError:
    code = worker.exit_code()
    if stop.reason:  # a whole service was told to end: its workers got the signal, too
        return stopped(stop.reason, SAVED)
    if code < 0:
        how, advice = f"was killed (signal {-code})", "Too little memory? Then set runtime.workers lower. "
    else:
        how, advice = f"ended with code {code}", "What it wrote above says why; runtime.workers: 1 does without it. "
    return TryAgainError(f"a worker process {how}; {SAVED}. {advice}The same command goes on from there")


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
