"""Starts the processes of a training run on this machine, with torchrun's agent, and says how they ended."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import uuid
from dataclasses import asdict
from inspect import signature
from typing import TYPE_CHECKING, Any

from bmtool.artifacts.temporary import temporary_folder
from bmtool.errors import BmtoolError, StoppedError, TryAgainError, stopped
from bmtool.runner.stop import REASONS, heard
from bmtool.runner.together import Work, error_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch.distributed.elastic.multiprocessing.errors import ProcessFailure

    from bmtool.console import Console
    from bmtool.runner.stop import StopRequest

#: What the parent writes for the processes, and what the first of them writes for the parent.
WORK, WORD = "work.json", "word.json"

#: How long the processes may take to save their state after a signal. Whoever sent it may have less patience. When one
#: of them fails, torch gives the others 30 s, whatever is set; they notice its closed connections and need 3 s.
_SHUTDOWN_SECONDS = 3600


def launch(work: Work, processes: int, console: Console, stop: StopRequest) -> dict[str, Any]:
    """Run a stage by `processes` processes and return its summary. They end when this process does.

    Raises:
        TryAgainError: one of them was killed, or all were stopped; the same command goes on.
        BmtoolError: what one of them had to say.
    """
    with temporary_folder("together") as folder:
        speech = {"quiet": console.quiet, "verbose": console.verbose, "prefix": console.prefix}
        if stop.reason:
            raise stopped(stop.reason, "nothing was begun")
        with stop.lent() as seconds_left:
            told = {"work": asdict(work), "console": speech, "max_seconds": seconds_left, "parent": os.getpid()}
            (folder / WORK).write_text(json.dumps(told), encoding="utf-8")
            caught, failures = _run_agent(folder, processes)
        word = _word(folder)
        if caught is not None and "summary" not in word:
            raise _after_signal(caught, word)
        if "summary" not in word or failures:
            raise _ending(word, failures, processes)
        if caught is not None:  # it came when all was done: from here on it is this process's own
            os.kill(os.getpid(), caught)
        summary: dict[str, Any] = word["summary"]
        return summary


def _run_agent(folder: Path, processes: int) -> tuple[signal.Signals | None, Mapping[int, ProcessFailure]]:
    """Run the agent until all processes are gone: the signal that it got, and how they failed, by rank."""
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        local_addr="localhost",
        max_restarts=0,
        logs_specs=DefaultLogsSpecs(log_dir=str(folder / "agent")),
        signals_to_handle=",".join(number.name for number in heard()),
        **_patience(LaunchConfig),
    )
    for name in list(logging.root.manager.loggerDict):  # what they say in tables and tracebacks, we say in a line
        if name.startswith("torch.distributed.elastic"):
            logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        elastic_launch(config, sys.executable)("-m", "bmtool.runner.member", str(folder))
    except ChildFailedError as error:
        return None, error.failures
    except SignalException as error:
        return error.sigval, {}
    return None, {}


def _patience(config: type) -> dict[str, Any]:
    """How long the agent waits after a signal; in torch 2.11 that is 30 s, and can't be set."""
    known = signature(config).parameters
    return {"shutdown_timeout": _SHUTDOWN_SECONDS} if "shutdown_timeout" in known else {}


def _word(folder: Path) -> dict[str, Any]:
    """What the first process had to say at its end; {} if it could say nothing."""
    path = folder / WORD
    word: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    return word


def _after_signal(number: signal.Signals, word: dict[str, Any]) -> BmtoolError:
    """The error that ends a stopped run: 130 after Ctrl-C, whichever process noticed it first."""
    if "error" not in word:
        return stopped(REASONS[number], "what was on the disk is kept")
    error = error_of(word["error"])
    if error.exit_code not in (TryAgainError.exit_code, StoppedError.exit_code):
        return error
    return StoppedError(str(error)) if number == signal.SIGINT else TryAgainError(str(error))


def _ending(word: dict[str, Any], failures: Mapping[int, ProcessFailure], processes: int) -> BmtoolError:
    """What the first process said, unless that is only that another one is gone; then which, and by what signal."""
    if "error" in word and not word["is_echo"]:
        return error_of(word["error"])
    codes = {rank: failure.exitcode for rank, failure in failures.items()}
    # SIGTERM last: the agent sends it to those that are left.
    killed = sorted((code == -signal.SIGTERM, rank) for rank, code in codes.items() if code < 0)
    if killed:
        rank = killed[0][1]
        return TryAgainError(
            f"process {rank + 1} of {processes} was ended by {signal.Signals(-codes[rank]).name}. "
            f"The same command goes on from the saved state"
        )
    if "error" in word:
        return error_of(word["error"])
    ends = ", ".join(f"process {rank + 1} with {code}" for rank, code in sorted(codes.items()))
    return BmtoolError(f"the processes ended without a word ({ends or 'all with 0'}). This is a bug in bmtool")
