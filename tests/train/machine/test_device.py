import subprocess
import sys
import time

import pytest
from bmtool.data.processors import cgroup_quota
from bmtool.errors import ConfigError
from bmtool.train.machine.device import busy_warning, other_running, pick_threads


def test_a_machine_with_a_processor_for_each_thread_is_not_busy():
    assert busy_warning(threads=2, others=0, processors=2) == ""
    assert busy_warning(threads=2, others=2, processors=4) == ""


def test_a_busy_machine_is_said_with_its_numbers():
    assert busy_warning(threads=2, others=1, processors=2) == (
        "the machine is busy (1 other running process and 2 threads for 2 processors): training will be slow"
    )


@pytest.mark.skipif(sys.platform != "linux", reason="what runs is read from /proc/stat")
def test_a_process_that_computes_is_counted():
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as process:
        time.sleep(0.3)

        running = other_running()
        process.kill()

    assert running >= 1


def test_a_quota_of_the_container_limits_the_threads(tmp_path):
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    (tmp_path / "free").write_text("max 100000\n")

    assert cgroup_quota(tmp_path / "cpu.max") == 1.5
    assert cgroup_quota(tmp_path / "free") is None


def test_threads_that_are_asked_for_are_taken():
    assert pick_threads(3) == (3, "asked for")


def test_omp_dynamic_is_refused(monkeypatch):
    monkeypatch.setenv("OMP_DYNAMIC", "true")

    with pytest.raises(ConfigError, match="OMP_DYNAMIC is set"):
        pick_threads(None)
