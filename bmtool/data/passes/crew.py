"""Worker processes: a leader loads the libraries once, then forks the workers, which have them from the start.

The leader is a process of its own, started afresh: it and its workers hold no lock and no thread of the run, and die
with it. It forks before it has any thread. Tasks and results go through a pipe between the run and each worker; nothing
that is pickled is ever read from a file.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import os
import signal
import subprocess
import sys
import traceback
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from bmtool.errors import BmtoolError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

#: What a leader waits for: the run that has no more use for it, and a worker's end.
_AWAITED = (signal.SIGTERM, signal.SIGCHLD)

#: One thread each: the processes are what runs side by side.
ONE_THREAD = {
    "RAYON_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
}


@dataclass(eq=False)
class Worker:
    """One worker, as the run sees it."""

    crew: Crew
    index: int
    connection: Connection
    hand_in: Callable[[Any], None] | None = None
    """Takes the result of what it works on; None: it waits for something to do"""

    def exit_code(self) -> int:
        """How it ended, as `subprocess` tells it; waits for the end."""
        return self.crew.exit_code(self.index)


@dataclass(eq=False)
class Crew:
    """A leader and its workers. They end together."""

    leader: subprocess.Popen[bytes]
    control: Connection
    """On which the leader tells how a worker ended"""
    workers: list[Worker] = field(default_factory=list)

    def exit_code(self, index: int) -> int:
        """How a worker ended, or the leader, and with it all workers."""
        try:
            while (ended := self.control.recv())[0] != index:
                pass
        except (EOFError, OSError):
            return self.leader.wait()
        return int(ended[1])

    def end(self) -> None:
        """End all of them, whatever they do, and wait until they are gone."""
        self.leader.terminate()
        self.leader.wait()
        for connection in (self.control, *(worker.connection for worker in self.workers)):
            connection.close()


def start_crew(size: int, module: str, load: str | None = None) -> Crew:
    """Start so many workers. Their leader imports a module before it forks them, and calls a function of it.

    Returns at once: what is sent to a worker waits for it.
    """
    pipes = [Pipe() for _ in range(size + 1)]
    passed = [there.fileno() for _, there in pipes]
    # -P: without it the current folder comes first, and a file of the user's called json.py would be imported.
    command = [sys.executable, "-P", "-m", __name__, module, load or "", *map(str, passed)]
    # In a group of its own: Ctrl-C reaches the run alone, which then ends its workers.
    leader = subprocess.Popen(
        command, pass_fds=passed, stdin=subprocess.DEVNULL, env={**os.environ, **ONE_THREAD}, process_group=0
    )
    for _, there in pipes:
        there.close()
    control, *others = (here for here, _ in pipes)
    crew = Crew(leader, control)
    crew.workers += [Worker(crew, index, connection) for index, connection in enumerate(others)]
    return crew


# -------------------------------------------------------------------- in the leader and its workers


def _lead(module: str, load: str, control: int, descriptors: list[int]) -> None:
    """What a leader does from its start to its end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _die_with(os.getppid())
    gc.disable()  # nothing of what is loaded is garbage: a seventh of the time went into looking
    loaded = importlib.import_module(module)
    if load:
        getattr(loaded, load)()
    threads = len(list(Path("/proc/self/task").iterdir()))
    if threads > 1:  # they would be missing in the workers, with whatever they held
        raise RuntimeError(f"a library started {threads - 1} threads before the workers were forked")
    gc.freeze()  # what is loaded stays: a collection in a worker needn't touch, and so copy, these pages
    gc.enable()
    # No handler: what it raises is lost in a fork that it interrupts, or comes just before `wait` begins to wait.
    signal.pthread_sigmask(signal.SIG_BLOCK, _AWAITED)
    running: dict[int, int] = {}
    try:
        for index, descriptor in enumerate(descriptors):
            pid = os.fork()
            if not pid:
                _work(descriptor, [control, *descriptors])
            running[pid] = index
        for descriptor in descriptors:
            os.close(descriptor)
        with Connection(control) as connection:
            while running and signal.sigwait(_AWAITED) == signal.SIGCHLD:
                for pid, code in _ended(list(running)):
                    connection.send((running.pop(pid), code))
    finally:
        for pid in running:  # each takes a while to free what it holds: side by side
            os.kill(pid, signal.SIGKILL)
        for pid in running:
            os.waitpid(pid, 0)


def _ended(pids: list[int]) -> Iterator[tuple[int, int]]:
    """Those that have ended (several may be behind one signal), each with its exit code."""
    for pid in pids:
        gone, status = os.waitpid(pid, os.WNOHANG)
        if gone:
            yield pid, os.waitstatus_to_exitcode(status)


def _work(descriptor: int, inherited: list[int]) -> NoReturn:
    """What a worker does from its fork to its end."""
    code = 1
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _AWAITED)
        _die_with(os.getppid())
        for other in inherited:
            if other != descriptor:  # while another worker held it, the run wouldn't see that this one is gone
                os.close(other)
        with Connection(descriptor) as connection:
            _serve(connection)
        code = 0
    except BaseException:  # noqa: BLE001  # nothing may leave through the leader's code above
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _serve(connection: Connection) -> None:
    """Answer tasks until the other side is gone."""
    while True:
        try:
            module, name, task = connection.recv()
        except (EOFError, ConnectionResetError):
            return
        try:
            function = getattr(importlib.import_module(module), name)
            connection.send(("result", function(task, lambda amount: connection.send(("tick", amount)))))
        except (BmtoolError, OSError, MemoryError) as error:
            connection.send(("error", error))
        except Exception:  # noqa: BLE001  # told to the run, which ends with it
            connection.send(("bug", traceback.format_exc()))


def _die_with(parent: int) -> None:
    """Ask Linux to kill this process when its parent is gone."""
    set_parent_death_signal = 1  # PR_SET_PDEATHSIG, prctl(2)
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
    if os.getppid() != parent:  # it went in between
        os._exit(1)


if __name__ == "__main__":
    _lead(sys.argv[1], sys.argv[2], int(sys.argv[3]), [int(one) for one in sys.argv[4:]])
    os._exit(0)  # to take down all that was loaded takes longer than to leave it, and the run waits
