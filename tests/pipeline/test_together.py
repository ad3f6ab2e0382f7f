"""Training by two processes from the command line: killed, gone on with, under torchrun; and what is said of it."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from bmtool.errors import BmtoolError, DataError, StoppedError, StorageError, TryAgainError
from bmtool.runner.agent import _after_signal, _ending

sys.path.insert(0, str(Path(__file__).parent.parent))
from project import bmtool, tree

STEPS = "gradient_accumulation_steps=2"
WORDS = ("pretrain", "tiny.yaml", "--set", f"pretrain.{STEPS}", "--set", f"finetune.{STEPS}")


def test_killed_then_gone_on_with_by_torchrun_it_ends_with_the_bytes_of_one_process(at, tmp_path):
    folder = at("pretrain")
    alone = tmp_path / "alone"
    subprocess.run(["cp", "-a", folder, alone], check=True)
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "bmtool"]

    clean = bmtool(alone, *WORDS)
    killed = bmtool(folder, *WORDS, "--set", "runtime.processes=2", fault="kill@step:8#1")
    finished = subprocess.run(
        [*torchrun, *WORDS], cwd=folder, env={**os.environ, "PYTHONWARNINGS": "ignore"}, capture_output=True, text=True
    )

    assert (clean.returncode, killed.returncode, finished.returncode) == (0, 75, 0), finished.stderr
    assert killed.stderr.splitlines()[-1] == (
        "error: pretrain: process 2 of 2 was ended by SIGKILL. The same command goes on from the saved state"
    )
    assert finished.stderr.count("pretrain: resumed from step 7 of 12") == 1  # the first process saved it in time
    assert finished.stdout == clean.stdout
    assert tree(folder / "runs") == tree(alone / "runs")


def test_killed_while_each_held_half_of_the_weights_it_is_finished_by_one(at):
    folder = at("pretrain")
    sharded = (*WORDS, "--set", "runtime.fsdp=always")

    killed = bmtool(folder, *sharded, "--set", "runtime.processes=2", fault="kill@step:8#0")
    finished = bmtool(folder, *sharded)

    assert (killed.returncode, finished.returncode) == (75, 0), killed.stderr + finished.stderr
    assert "weights sharded (asked for)" in killed.stderr
    assert killed.stderr.splitlines()[-1].startswith("error: pretrain: process 1 of 2 was ended by SIGKILL.")
    assert len(re.findall(r"pretrain: resumed from step [36] of 12", finished.stderr)) == 1  # 6 may be there in time
    assert "weights whole (one process)" in finished.stderr


def failures(**codes):
    """Exit codes by rank, as torchrun's agent gives them: `failures(r0=75, r1=-9)`."""
    return {int(rank[1:]): SimpleNamespace(exitcode=code) for rank, code in codes.items()}


def word(error, is_echo=False):
    return {"error": {"exit_code": error.exit_code, "text": str(error)}, "is_echo": is_echo}


def same(one, other):
    return (type(one), str(one)) == (type(other), str(other))


@pytest.mark.parametrize("error", [DataError("bad rows"), StorageError("disk full"), BmtoolError("a bug")])
def test_the_error_of_a_process_is_the_error_of_the_run(error):
    assert same(_ending(word(error), failures(r0=error.exit_code, r1=75), 2), error)


def test_a_killed_process_is_named_and_the_ones_that_the_agent_ended_are_not():
    echo = word(TryAgainError("another process of this run is gone"), is_echo=True)
    expected = TryAgainError("process 3 of 3 was ended by SIGKILL. The same command goes on from the saved state")

    assert same(_ending(echo, failures(r0=75, r1=-signal.SIGTERM, r2=-signal.SIGKILL), 3), expected)
    assert same(_ending({}, failures(r1=-signal.SIGTERM, r2=-signal.SIGKILL), 3), expected)


def test_processes_that_end_without_a_word_are_a_bug():
    error = _ending({}, failures(r1=1), 2)

    assert (type(error), str(error)) == (
        BmtoolError,
        "the processes ended without a word (process 2 with 1). This is a bug in bmtool",
    )


def test_ctrl_c_is_130_and_any_other_signal_75_whichever_process_noticed_it():
    saved = TryAgainError("stopped by a signal to one of its processes; step 3 of 9 is saved")

    assert same(_after_signal(signal.SIGINT, word(saved)), StoppedError(str(saved)))
    assert same(_after_signal(signal.SIGTERM, word(saved)), saved)
    assert same(_after_signal(signal.SIGTERM, word(StorageError("disk full"))), StorageError("disk full"))
    assert same(
        _after_signal(signal.SIGINT, {}),
        StoppedError("stopped by Ctrl-C; what was on the disk is kept. The same command goes on from there"),
    )
