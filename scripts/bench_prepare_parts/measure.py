"""Starts a process on one core and tells what it and its children took: CPU seconds, wall seconds, memory."""

import json
import os
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

LIBRARIES = ("RAYON", "OMP", "OPENBLAS", "NUMBA", "MKL")
ONE_THREAD = {f"{name}_NUM_THREADS": "1" for name in LIBRARIES} | {
    "TOKENIZERS_PARALLELISM": "false",
    "HF_HUB_OFFLINE": "1",
}
SAMPLE_SECONDS = 0.1


@dataclass
class Spent:
    """What a process took. `peak_mb` is the largest process, `tree_mb` the largest sum of shares of all of them."""

    cpu: float
    wall: float
    peak_mb: float
    tree_mb: float
    code: int
    lines: list[dict[str, Any]] = field(default_factory=list)
    """JSON objects that it printed, a line each."""


def run(command: list[str | Path], log: Path, *, cores: int = 1, watch: bool = False, cwd: Path | None = None) -> Spent:
    """Run `command`, its output in `log`; stop the benchmark if it fails."""
    available = sorted(os.sched_getaffinity(0))
    words = ["taskset", "-c", ",".join(map(str, available[-cores:])), *map(str, command)]
    log.parent.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    with log.open("wb") as file:
        process = subprocess.Popen(words, stdout=file, stderr=subprocess.STDOUT, env=environment(), cwd=cwd)
        largest = [0.0]
        done = threading.Event()
        watcher = threading.Thread(target=_watch, args=(process.pid, largest, done))
        if watch:
            watcher.start()
        _, status, usage = os.wait4(process.pid, 0)
        done.set()
    wall = time.monotonic() - started
    process.returncode = os.waitstatus_to_exitcode(status)
    if watch:
        watcher.join()
    text = log.read_text(errors="replace")
    if process.returncode:
        raise SystemExit(f"{' '.join(words)}\nended with {process.returncode}:\n{text[-3000:]}")
    lines = [json.loads(line.removeprefix("RESULT ")) for line in text.splitlines() if _is_json(line)]
    cpu = usage.ru_utime + usage.ru_stime
    return Spent(cpu, wall, usage.ru_maxrss / 1024, largest[0], process.returncode, lines)


def environment() -> dict[str, str]:
    """One thread a library; Python keeps bytecode, as it does for whoever installs the package."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return kept | ONE_THREAD


def _is_json(line: str) -> bool:
    return line.startswith(('{"', 'RESULT {"')) and line.endswith("}")


def _watch(pid: int, largest: list[float], done: threading.Event) -> None:
    while not done.wait(SAMPLE_SECONDS):
        largest[0] = max(largest[0], sum(map(_proportional_mb, _tree(pid))))


def _tree(pid: int) -> list[int]:
    found = [pid]
    for one in found:
        try:
            tasks = list(Path(f"/proc/{one}/task").iterdir())
            children = [child for task in tasks for child in (task / "children").read_text().split()]
        except OSError:
            continue
        found += [int(child) for child in children]
    return found


def _proportional_mb(pid: int) -> float:
    """PSS: memory that processes share counts once in their sum. File pages mapped in are part of it."""
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass
    return 0.0
