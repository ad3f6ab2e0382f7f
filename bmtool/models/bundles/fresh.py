"""Run one of our modules in a fresh process, which knows nothing of this one's memory and dies with it."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

from bmtool.errors import stopped

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bmtool.contracts import Stop

#: How often the parent looks whether it was asked to stop.
POLL_SECONDS = 0.2

#: The child learns its parent's process id here, to notice a parent that died before it could ask for the signal.
PARENT = "BMTOOL_PARENT"

#: `prctl(PR_SET_PDEATHSIG, signal)`, from linux/prctl.h.
_PR_SET_PDEATHSIG = 1


def run_fresh(module: str, arguments: Sequence[str], stop: Stop) -> None:
    """Run `python -m module arguments...` and wait for it.

    Raises:
        BmtoolError: this process was asked to stop; the child has been ended.
        RuntimeError: the child failed; the end of what it said is in the message.
    """
    command = [sys.executable, "-m", module, *arguments]
    environment = {**os.environ, PARENT: str(os.getpid())}
    # Its own process group: a Ctrl-C reaches this process alone, which then ends the child in its own way.
    with subprocess.Popen(
        command, env=environment, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        text=True, errors="replace", process_group=0,
    ) as child:  # fmt: skip
        try:
            said = _wait(child, stop)
        except BaseException:
            child.kill()
            raise
    if child.returncode:
        raise RuntimeError(f"{module} ended with {_ending(child.returncode)}: {said[-2000:].strip()}")


def _wait(child: subprocess.Popen[str], stop: Stop) -> str:
    while True:
        try:
            return child.communicate(timeout=POLL_SECONDS)[1]
        except subprocess.TimeoutExpired:
            if stop.reason:
                raise stopped(stop.reason, "nothing was committed") from None


def _ending(code: int) -> str:
    return f"exit code {code}" if code > 0 else signal.Signals(-code).name


def die_with_parent(parent: int = 0) -> None:
    """Called first thing in a child: ask the kernel to end this process when its parent ends (Linux only).

    `parent` is the process id of a parent that doesn't tell it in the environment.
    """
    parent = parent or int(os.environ.pop(PARENT, "0"))
    if sys.platform != "linux" or not parent:
        return
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        sys.exit("the parent is gone")
