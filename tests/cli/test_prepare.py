"""`bmtool prepare` with workers, from the outside: how it ends, what it leaves, what it says."""

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))
from project import bmtool, start

CONFIG = """\
version: 1
name: big
runtime: {workers: 2}
prepare:
  stars:
    task: text_classification
    sources: big.jsonl
    columns: {label: stars}
    deduplicate: [exact]
    split: {test: 0.1}
"""


@pytest.fixture(scope="session")
def big(tmp_path_factory):
    """A project with 160 MB of text: ten pieces, so that two processes have work for some seconds."""
    folder = tmp_path_factory.mktemp("big")
    rng = random.Random(0)
    words = [f"word{n}" for n in range(3000)]
    block = [" ".join(rng.choices(words, k=60)) for _ in range(2000)]
    with (folder / "big.jsonl").open("w", encoding="utf-8") as handle:
        for number in range(160):
            handle.writelines(f'{{"text": "{number} {text}", "stars": {number % 2}}}\n' for text in block)
    assert 144e6 < (folder / "big.jsonl").stat().st_size < 192e6
    (folder / "big.yaml").write_text(CONFIG, encoding="utf-8")
    return folder


def below(pid):
    """Children and their children: the one that forks comes first."""
    children = children_of(pid)
    return children + [grandchild for child in children for grandchild in children_of(child)]


def children_of(pid):
    """Processes whose parent is `pid`."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            found.append(int(path.parent.name))
    return found


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def gone_after(pids, seconds):
    deadline = time.monotonic() + seconds
    while any(map(is_running, pids)) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not any(map(is_running, pids))


def at_work(folder, *words):
    """(process, the workers and the process that forks them) once two workers have something to do."""
    shutil.rmtree(folder / "runs", ignore_errors=True)
    process = start(folder, "prepare", "big.yaml", *words)
    deadline = time.monotonic() + 60
    while len(below(process.pid)) < 3 or not any((folder / "runs/store/.cache/rows").glob("*/.*")):
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return process, below(process.pid)


@pytest.mark.parametrize(
    ("number", "code", "text"), [(signal.SIGINT, 130, "stopped by Ctrl-C"), (signal.SIGTERM, 75, "stopped by SIGTERM")]
)
def test_a_signal_ends_the_run_and_its_workers_within_a_second_or_so(big, number, code, text):
    process, workers = at_work(big)
    asked = time.monotonic()

    process.send_signal(number)
    _, err = process.communicate(timeout=60)
    seconds = time.monotonic() - asked

    assert process.returncode == code, err
    assert text in err
    assert "what is done is kept" in err
    assert len(workers) == 3
    assert not any(map(is_running, workers))
    assert seconds < 2.5  # 0.2 on an idle machine


def test_max_time_ends_the_run_and_its_workers(big):
    done = bmtool(big, "prepare", "big.yaml", "--force", "--max-time", "1s")

    assert done.returncode == 75, done.stderr
    assert "stopped by --max-time" in done.stderr
    assert not list((big / "runs/store").glob("prepare-*"))


def test_a_killed_run_leaves_no_worker(big):
    process, workers = at_work(big, "--force")

    process.kill()

    assert len(workers) == 3
    assert gone_after(workers, 1)
    process.communicate(timeout=60)


def test_a_killed_worker_ends_the_run_with_75(big):
    process, workers = at_work(big, "--force")

    os.kill(workers[-1], signal.SIGKILL)
    _, err = process.communicate(timeout=60)

    assert process.returncode == 75, err
    assert "a worker process was killed (signal 9)" in err
    assert not any(map(is_running, workers))


def test_closed_standard_streams_are_no_trouble_for_workers(big):
    command = f"{sys.executable} -m bmtool.cli prepare big.yaml --force --max-time 1s <&- >&- 2>&-"
    done = subprocess.run(["bash", "-c", command], cwd=big, check=False)

    assert done.returncode == 75  # and not 1: they may not take the numbers of what was closed
