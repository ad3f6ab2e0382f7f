"""Temporary folders: gone at the end, and what a killed process left is gone when the next one is made."""

import os
import subprocess
import sys
import time

import pytest
from bmtool.artifacts.temporary import LOCK, left_over, temporary_folder

KILLED = """
import os, signal, sys
from pathlib import Path
from bmtool.artifacts.temporary import temporary_folder
with temporary_folder("killed", inside=Path(sys.argv[1])) as folder:
    (folder / "large").write_text("x" * 1000)
    print(folder, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""

FORKS = """
import os
from bmtool.artifacts.temporary import folder_until_exit
folder = folder_until_exit("forks")
if os.fork() == 0:
    raise SystemExit
os.wait()
print(folder, folder.is_dir())
"""


def killed(place):
    done = subprocess.run([sys.executable, "-c", KILLED, place], capture_output=True, text=True, timeout=60)
    assert done.returncode == -9
    return done.stdout.strip()


def test_it_is_there_for_its_maker_alone_and_gone_afterwards(tmp_path):
    with temporary_folder("try", inside=tmp_path) as folder:
        assert folder.parent == tmp_path
        assert folder.stat().st_mode & 0o077 == 0
        assert list(left_over(tmp_path)) == []

    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_goes_when_the_next_is_made_and_what_is_in_use_stays(tmp_path):
    with temporary_folder("mine", inside=tmp_path) as mine:
        theirs = killed(tmp_path)
        assert [str(folder) for folder in left_over(tmp_path)] == [theirs]

        with temporary_folder("next", inside=tmp_path) as following:
            assert sorted(tmp_path.iterdir()) == sorted([mine, following])


@pytest.mark.parametrize(("age_hours", "is_left"), [(0, False), (2, True)])
def test_one_without_a_lock_may_be_about_to_be_made_but_not_for_hours(tmp_path, age_hours, is_left):
    folder = tmp_path / "bmtool-try-abc"
    folder.mkdir()
    then = time.time() - age_hours * 3600
    os.utime(folder, (then, then))

    assert list(left_over(tmp_path)) == [folder] * is_left


def test_links_and_what_is_called_otherwise_are_not_ours(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / LOCK).touch()
    (tmp_path / "bmtool-link-abc").symlink_to("elsewhere")

    assert list(left_over(tmp_path)) == []


def test_one_that_is_kept_until_the_exit_outlives_forked_children(tmp_path):
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", FORKS], capture_output=True, text=True, timeout=60, env=environment)

    assert done.stdout.split()[1:] == ["True"], done.stderr
    assert list(tmp_path.iterdir()) == []
