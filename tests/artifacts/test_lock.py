import subprocess
import sys
import time

import pytest
from bmtool.artifacts.lock import is_held, locked, read_by_runs
from bmtool.errors import StorageError, TryAgainError

HOLDER = """
import sys, time
from pathlib import Path
from bmtool.artifacts.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(float(sys.argv[2]))
"""


@pytest.fixture
def holder(tmp_path):
    """Start a process that holds the lock for some seconds."""
    started = []

    def start(seconds: float):
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDER, tmp_path / ".x.lock", str(seconds)], stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def test_the_second_run_is_told_who_holds_the_lock(tmp_path, holder):
    process = holder(30)

    with pytest.raises(TryAgainError) as error, locked(tmp_path / ".x.lock"):
        pass

    assert str(error.value).startswith(f"x is being made by process {process.pid} on ")
    assert str(error.value).endswith("Wait for it with --wait 2h")
    assert is_held(tmp_path / ".x.lock")


def test_a_killed_holder_leaves_no_stale_lock(tmp_path, holder):
    process = holder(30)
    process.kill()
    process.wait()

    with locked(tmp_path / ".x.lock"):
        held = is_held(tmp_path / ".x.lock")

    assert held
    assert not (tmp_path / ".x.lock").exists()


def test_a_waiting_run_goes_on_when_the_lock_is_free(tmp_path, holder):
    holder(0.5)
    said = []
    started = time.monotonic()

    with locked(tmp_path / ".x.lock", wait_seconds=30, waiting=said.append):
        waited = time.monotonic() - started

    assert waited < 20
    assert said[0].startswith("waiting up to 30 s for process ")


@pytest.mark.parametrize("way", ["a link that leads nowhere", "a file"])
def test_a_folder_that_can_not_be_made_is_named(tmp_path, way):
    root = tmp_path / "runs"
    if way == "a file":
        root.mkdir()
        (root / "store").write_text("mine")
    else:
        root.symlink_to(tmp_path / "disk that isn't mounted")

    with pytest.raises(StorageError) as error, locked(root / "store/.prepare-1.lock"):
        pass

    assert str(error.value) == f"{root}/store: this folder can't be made: File exists. Set output_dir"


def test_what_running_processes_read_is_known_while_they_run(tmp_path):
    with locked(tmp_path / ".finetune-1.lock", reads=["pretrain-1", "prepare-1"]):
        (tmp_path / ".finetune-2.lock").write_text('{"reads": ["pretrain-2"]}')  # nobody holds it
        during = read_by_runs(tmp_path)

    assert during == {"pretrain-1", "prepare-1"}
    assert read_by_runs(tmp_path) == set()
