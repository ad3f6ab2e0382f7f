"""Compiled kernels belong to one state of the source: another state never finds them."""

import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path

import bmtool
import pytest
from bmtool.data.compiled import NAME, compiling_once, kernel_folder, nb, source_key

PACKAGE = Path(bmtool.__file__).parent


def test_kernels_are_kept_under_a_hash_of_the_source():
    assert Path(nb.config.CACHE_DIR).name == f"{NAME}{source_key()}"


def test_the_hash_follows_every_file_that_kernels_are_made_from(monkeypatch, tmp_path):
    import shutil

    shutil.copytree(PACKAGE, tmp_path / "bmtool", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr("bmtool.data.compiled.__file__", str(tmp_path / "bmtool" / "data" / "compiled.py"))
    before = source_key()
    assert before == source_key()

    words = tmp_path / "bmtool" / "data" / "text" / "words.py"
    words.write_text(words.read_text() + "\n")

    assert source_key() != before


def test_the_first_folder_that_can_be_written_is_taken_and_old_kernels_go(tmp_path):
    blocked, base = tmp_path / "file", tmp_path / "cache"
    blocked.write_text("")
    old, young = base / f"{NAME}old", base / f"{NAME}young"
    for folder in (old, young):
        folder.mkdir(parents=True)
    long_ago = time.time() - 30 * 86_400
    os.utime(old, (long_ago, long_ago))

    folder = kernel_folder([blocked, base])

    assert folder == base / f"{NAME}{source_key()}"
    assert not old.exists()
    assert young.exists()


KILLED = """
import os, signal, sys
from pathlib import Path
from bmtool.data.compiled import kernel_folder
kernel_folder([Path(sys.argv[1])])
print(flush=True)
os.kill(os.getpid(), signal.SIGKILL if sys.argv[2] == "killed" else signal.SIGSTOP)
"""


def test_of_many_states_of_the_source_those_used_last_stay_and_those_in_use(tmp_path):
    base = tmp_path / "cache"
    states = [base / f"{NAME}{number}" for number in range(6)]
    for age, folder in enumerate(states):
        folder.mkdir(parents=True)
        (folder / "used").touch()
        (folder / "kernel.nbc").touch()
        then = time.time() - 60 * (age + 1)
        os.utime(folder, (then, then))
    going = base / f"{NAME}6.going"
    going.mkdir()

    with (states[5] / "used").open() as handle:
        fcntl.flock(handle, fcntl.LOCK_SH)
        kernel_folder([base])

    assert sorted(folder.name for folder in base.iterdir()) == sorted(
        [f"{NAME}{source_key()}", *(folder.name for folder in [*states[:3], states[5]])]
    )
    assert all((folder / "kernel.nbc").exists() for folder in (*states[:3], states[5]))


def test_a_process_holds_its_kernels_until_it_ends_however_that_is(tmp_path):
    def is_held():
        with (tmp_path / f"{NAME}{source_key()}" / "used").open() as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
        return False

    words = [sys.executable, "-c", KILLED, tmp_path]
    assert subprocess.run([*words, "killed"], capture_output=True, timeout=60).returncode == -9
    assert not is_held()

    with subprocess.Popen([*words, "stopped"], stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        assert is_held()
        process.kill()
    assert not is_held()


def test_without_a_folder_kernels_are_compiled_for_this_process_alone(tmp_path):
    (tmp_path / "file").write_text("")

    one, other = kernel_folder([tmp_path / "file"]), kernel_folder([tmp_path / "file"])

    assert one != other
    assert one.stat().st_mode & 0o077 == 0


def test_every_module_takes_numba_from_there():
    others = [path for path in PACKAGE.rglob("*.py") if "import numba" in path.read_text()]

    assert [path.name for path in others] == ["compiled.py"]


CALLED = """
import sys
from bmtool.data.compiled import nb
from bmtool.data.quality.tables import tables
from numba.core.dispatcher import Dispatcher

tables()
modules = [module for name, module in sys.modules.items() if name.startswith("bmtool.data.")]
values = [value for module in modules for value in vars(module).values()]
called = [value for value in values if isinstance(value, Dispatcher) and value.signatures]
print(len(called), *(kernel.__name__ for kernel in called if kernel.stats.cache_path is None))
"""


def test_no_kernel_that_python_calls_is_compiled_by_each_process_anew():
    done = subprocess.run([sys.executable, "-c", CALLED], stdout=subprocess.PIPE, text=True, check=True)

    count, *anew = done.stdout.split()
    assert int(count) > 3
    assert anew == []


ONCE = """
import sys, time
from bmtool.data.compiled import compiling_once

with compiling_once(sys.argv[1:], lambda amount: None):
    start = time.monotonic()
    time.sleep(0.3)
    print(start, time.monotonic())
"""


def side_by_side(folder: Path) -> list[list[float]]:
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(folder)}
    words = [sys.executable, "-c", ONCE, "units", "c4"]
    runs = [subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    return sorted([float(time) for time in run.communicate()[0].split()] for run in runs)


def test_what_compiles_kernels_is_done_by_one_process_at_a_time_until_it_was_done_once(tmp_path):
    first, second = side_by_side(tmp_path)

    assert first[1] <= second[0]
    assert [path.suffix for path in tmp_path.rglob("*.done")] == [".done"]


def test_whoever_waits_for_another_process_to_compile_can_be_stopped(monkeypatch, tmp_path):
    monkeypatch.setattr(nb.config, "CACHE_DIR", str(tmp_path))

    def asked_to_stop(amount: int) -> None:
        raise InterruptedError(amount)

    with compiling_once(["units"], asked_to_stop):
        with pytest.raises(InterruptedError), compiling_once(["units"], asked_to_stop):
            pass
        assert not list(tmp_path.glob("*.done"))
    with compiling_once(["units"], asked_to_stop), compiling_once(["units"], asked_to_stop):
        assert list(tmp_path.glob("*.done"))
