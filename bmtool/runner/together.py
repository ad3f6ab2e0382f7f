"""Training by several processes: the first one leads, the others are told what to train and do nothing else.

Processes come in two ways. `runtime.processes: 2` lets this command start torchrun's agent, which starts one
`bmtool.runner.member` a process; or the whole command was started by `torchrun -m bmtool ...`, and then its first
process leads, and the others wait in `follow` until there is something to train. Either way only one process plans,
locks, commits and prints. How each of them ended is told through torch's store, so that a fault is reported once.
"""

from __future__ import annotations

import itertools
import json
import os
import time
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bmtool.artifacts.manifest import Artifact, read_manifest
from bmtool.config.carried import from_plain, to_plain
from bmtool.console import Console
from bmtool.contracts import Job
from bmtool.errors import BmtoolError, ConfigError, StoppedError, TryAgainError
from bmtool.models.bundles.fresh import die_with_parent
from bmtool.runner.crash import as_error
from bmtool.runner.pipeline import stage_module
from bmtool.runner.stop import StopRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch.distributed.distributed_c10d import Store

    from bmtool.config.model import Settings
    from bmtool.contracts import Stage, Stop

#: What torchrun tells each process that it starts.
_TOLD = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")

#: What the others are told instead of work when the command is over.
_END = "end"

#: How often a waiting process looks for work, and how long the first one looks for what the others died of.
_POLL_SECONDS, _ECHO_SECONDS = 0.1, 2.0


class Mute(Console):
    """The console of a process whose words would be said by the first one as well."""

    def _write(self, text: str, *, prefix: bool = True) -> None:
        del text, prefix


@dataclass(frozen=True)
class Work:
    """A stage to run in another process, as plain JSON values."""

    stage: str
    settings: Any
    runtime: Any
    folder: str
    inputs: dict[str, tuple[str, str, str, bool]]
    """By role: folder, kind, fingerprint, and whether there is a manifest."""
    seed: int
    fingerprint: str
    raw: dict[str, str]
    cache: str | None
    is_fresh: bool
    reports: str | None
    wait_seconds: float
    is_smoke: bool

    @classmethod
    def of(cls, stage: str, config: Settings, job: Job) -> Work:
        """What another process must know to run the stage."""
        found = {
            role: (str(artifact.folder), artifact.kind, artifact.fingerprint, artifact.manifest is not None)
            for role, artifact in job.inputs.items()
        }
        return cls(
            stage=stage,
            settings=to_plain(config),
            runtime=to_plain(job.runtime),
            folder=str(job.folder),
            inputs=found,
            seed=job.seed,
            fingerprint=job.fingerprint,
            raw=dict(job.raw),
            cache=None if job.cache is None else str(job.cache),
            is_fresh=job.is_fresh,
            wait_seconds=job.wait_seconds,
            reports=None if job.reports is None else str(job.reports),
            is_smoke=job.is_smoke,
        )

    @property
    def module(self) -> Stage:
        """The stage's code."""
        return stage_module(self.stage)

    def config(self) -> Any:
        """The stage's settings."""
        return from_plain(self.settings)

    def job(self, console: Console, stop: Stop) -> Job:
        """All else that the stage gets."""
        return Job(
            folder=Path(self.folder),
            inputs={
                role: Artifact(Path(folder), kind, fingerprint, read_manifest(Path(folder)) if is_ours else None)
                for role, (folder, kind, fingerprint, is_ours) in self.inputs.items()
            },
            seed=self.seed,
            runtime=from_plain(self.runtime),
            console=console,
            stop=stop,
            fingerprint=self.fingerprint,
            raw=self.raw,
            cache=None if self.cache is None else Path(self.cache),
            is_fresh=self.is_fresh,
            wait_seconds=self.wait_seconds,
            reports=None if self.reports is None else Path(self.reports),
            is_smoke=self.is_smoke,
        )


# ---------------------------------------------------------------- the process that leads


def run_stage(stage: str, config: Settings, job: Job, stop: StopRequest) -> dict[str, Any]:
    """Run a stage, by several processes if it trains and they are there or asked for; its summary.

    Raises:
        BmtoolError: what went wrong, in whichever of them.
    """
    module = stage_module(stage)
    if module.KIND != "checkpoint":  # made without training
        return module.run(config, job)
    if started_by_torchrun():
        return _lead(stage, config, job)
    if job.runtime.processes > 1:
        from bmtool.runner.agent import launch

        return launch(Work.of(stage, config, job), job.runtime.processes, job.console, stop)
    return module.run(config, job)


def started_by_torchrun() -> bool:
    """Whether this command is one of several processes that torchrun, or something like it, has started."""
    return all(name in os.environ for name in _TOLD) and int(os.environ["WORLD_SIZE"]) > 1


def _lead(stage: str, config: Settings, job: Job) -> dict[str, Any]:
    started = int(os.environ.get("LOCAL_WORLD_SIZE", os.environ["WORLD_SIZE"]))
    if job.runtime.processes not in (1, started):
        raise ConfigError(
            f"runtime.processes is {job.runtime.processes}, and torchrun has started {started}. Remove the setting"
        )
    number = _give(json.dumps(asdict(Work.of(stage, config, job))))
    summary = in_company(lambda: stage_module(stage).run(config, job), job, number)
    if summary is None:
        raise AssertionError("the first process goes on after training")
    return summary


def dismiss() -> None:
    """Let the processes that wait for work end, as this command does. Without such processes: nothing."""
    if started_by_torchrun():
        _give(_END)


def _give(text: str) -> int:
    """Hand the others their next work; its number."""
    number = _store().add("works", 1) - 1
    _store().set(f"work/{number}", text)
    return int(number)


# ---------------------------------------------------------------- the others


def is_follower() -> bool:
    """Whether another process of this command leads."""
    return started_by_torchrun() and os.environ["RANK"] != "0"


def follow() -> int:
    """Train along whenever the first process says so, silently, until it says that it is over; the exit code."""
    die_with_parent(os.getppid())
    for number in itertools.count():
        text = _next_work(number)
        if text == _END:
            return 0
        try:
            stop = StopRequest()
            with stop.listening():
                take_part(Work(**json.loads(text)), number, Mute(), stop)
        except (Exception, KeyboardInterrupt) as problem:  # noqa: BLE001  # the first process reports it
            return as_error(problem).exit_code
    raise AssertionError("counting never ends")


def _next_work(number: int) -> str:
    from bmtool.train.machine.world import is_said

    key = f"work/{number}"
    while not is_said(_store(), [key]):
        time.sleep(_POLL_SECONDS)
    return str(_store().get(key).decode())


# ---------------------------------------------------------------- all of them


def take_part(work: Work, number: int, console: Console, stop: StopRequest) -> dict[str, Any] | None:
    """Run a stage as one of several processes; its summary in the first one, None in the others."""
    job = work.job(console, stop)
    return in_company(lambda: work.module.run(work.config(), job), job, number)


def in_company(run: Callable[[], dict[str, Any]], job: Job, number: int) -> dict[str, Any] | None:
    """Join the others, run, leave them.

    Raises:
        BmtoolError: what went wrong here; or in another process, where the first one learns of it.
    """
    from torch.distributed.distributed_c10d import PrefixStore

    from bmtool.train.machine.world import PartDoneError, ProcessGoneError, joined

    store = PrefixStore(f"group/{number}", _store())
    try:
        with joined(store, job.runtime.device, job.stop):
            return run()
    except PartDoneError:
        return None
    except ProcessGoneError as gone:
        raise (_told_by_another(store) or gone) from None
    except (Exception, KeyboardInterrupt) as problem:
        error = as_error(problem)
        own = json.dumps({"exit_code": error.exit_code, "text": str(error)})
        first = store.compare_set("error", "", own).decode()
        if first != own and isinstance(error, TryAgainError | StoppedError):  # stopped, since another one failed
            raise error_of(json.loads(first)) from None
        raise error from problem


def _told_by_another(store: Store) -> BmtoolError | None:
    """Why another process ended, if it had the time to say so."""
    from bmtool.train.machine.world import is_said

    deadline = time.monotonic() + _ECHO_SECONDS
    while not is_said(store, ["error"]):
        if os.environ["RANK"] != "0" or time.monotonic() > deadline:
            return None
        time.sleep(_POLL_SECONDS)
    return error_of(json.loads(store.get("error")))


def error_of(told: dict[str, Any]) -> BmtoolError:
    """The error that another process had."""
    kinds: dict[int, type[BmtoolError]] = {kind.exit_code: kind for kind in BmtoolError.__subclasses__()}
    return kinds.get(told["exit_code"], BmtoolError)(told["text"])


@lru_cache(maxsize=1)
def _store() -> Store:
    """What all processes can read and write, as torchrun's environment says."""
    from torch.distributed.rendezvous import rendezvous

    store: Store = next(iter(rendezvous("env://")))[0]
    return store
