import os
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from bmtool.errors import StoppedError, TryAgainError
from bmtool.models.bundles.fresh import run_fresh

RUNNING = SimpleNamespace(reason="")


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Write a module that a fresh process can run by name."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def write(code):
        (tmp_path / "fresh_module.py").write_text(textwrap.dedent(code))
        return "fresh_module"

    return write


def test_arguments_arrive_and_the_process_is_another_one(module, tmp_path):
    name = module("import os, sys; open(sys.argv[1], 'w').write(f'{os.getppid()} {os.getpid()}')")

    run_fresh(name, [str(tmp_path / "out")], RUNNING)

    parent, own = (tmp_path / "out").read_text().split()
    assert int(parent) == os.getpid()
    assert int(own) != os.getpid()


def test_a_failure_comes_back_with_what_was_said(module):
    with pytest.raises(RuntimeError, match=r"(?s)ended with exit code 1: .*ValueError: no luck") as error:
        run_fresh(module("raise ValueError('no luck')"), [], RUNNING)

    assert "Traceback" in str(error.value)


def test_a_killed_child_is_named_by_its_signal(module):
    with pytest.raises(RuntimeError, match="ended with SIGKILL"):
        run_fresh(module("import os; os.kill(os.getpid(), 9)"), [], RUNNING)


@pytest.mark.parametrize(("reason", "error"), [("SIGTERM", TryAgainError), ("Ctrl-C", StoppedError)])
def test_a_stopped_parent_ends_the_child_at_once(module, reason, error):
    started = time.monotonic()

    with pytest.raises(error, match="nothing was committed"):
        run_fresh(module("import time; time.sleep(60)"), [], SimpleNamespace(reason=reason))

    assert time.monotonic() - started < 10


@pytest.mark.skipif(sys.platform != "linux", reason="asks the Linux kernel")
def test_a_child_dies_with_its_parent(module, tmp_path):
    module(
        """
        import os, sys, time
        from bmtool.models.bundles.fresh import die_with_parent
        die_with_parent()
        open(sys.argv[1], "w").write(str(os.getpid()))
        time.sleep(60)
        """
    )
    code = (
        "import sys; from types import SimpleNamespace; from bmtool.models.bundles.fresh import run_fresh; "
        "run_fresh('fresh_module', [sys.argv[1]], SimpleNamespace(reason=''))"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "pid")])
    pid = _wait_for(lambda: int((tmp_path / "pid").read_text() or 0) if (tmp_path / "pid").exists() else 0)

    parent.kill()
    parent.wait()

    assert _wait_for(lambda: not _is_alive(pid))


def _is_alive(pid):
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def _wait_for(condition):
    for _ in range(200):
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    return None
