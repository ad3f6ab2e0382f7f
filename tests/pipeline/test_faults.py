"""Every stage is killed, stopped, starved of disk; the same command then ends with the bytes of an undisturbed run."""

import json
import signal
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))
from project import bmtool, start, tree

KILLS = [
    ("prepare", "kill@prepare:decided"),
    ("prepare", "kill@write:9"),
    ("pretrain", "kill@step:2"),  # before anything was saved
    ("pretrain", "kill@step:8"),
    ("pretrain", "kill@save:written"),
    ("pretrain", "kill@save:renamed"),
    ("pretrain", "kill@commit:cleaned"),
    ("finetune", "kill@step:11"),
    ("finetune", "kill@commit:manifest"),
    ("evaluate", "kill@write:1"),
    ("evaluate", "kill@commit:synced"),
    ("export", "kill@write:1"),
    ("export", "kill@commit:renamed"),
]


@pytest.mark.parametrize(("stage", "fault"), KILLS)
def test_killed_anywhere_the_same_command_finishes_with_the_same_bytes(at, expected, stage, fault):
    folder = at(stage)

    killed = bmtool(folder, stage, "tiny.yaml", fault=fault)
    again = bmtool(folder, stage, "tiny.yaml")

    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert again.returncode == 0, again.stderr
    assert tree(folder / "runs") == expected(stage)


@pytest.mark.parametrize(("stage", "fault"), [("pretrain", "term@step:5"), ("finetune", "term@step:7")])
def test_sigterm_saves_and_exits_75_and_the_same_command_goes_on(at, expected, stage, fault):
    folder = at(stage)

    stopped = bmtool(folder, stage, "tiny.yaml", "--json", fault=fault)
    again = bmtool(folder, stage, "tiny.yaml")

    assert stopped.returncode == 75, stopped.stderr
    assert json.loads(stopped.stdout)["results"][0]["status"] == "interrupted"
    assert "stopped by SIGTERM" in stopped.stderr
    assert again.returncode == 0, again.stderr
    assert "resumed from step" in again.stderr
    assert tree(folder / "runs") == expected(stage)


def test_max_time_stops_a_run_that_would_take_longer(at):
    folder = at("pretrain")

    done = bmtool(folder, "pretrain", "tiny.yaml", "--max-time", "8s", "--set", "pretrain.max_steps=1000000")

    assert done.returncode == 75
    assert "stopped by --max-time" in done.stderr


def test_ctrl_c_in_training_saves_and_exits_130(at):
    folder = at("pretrain")
    process = start(folder, "pretrain", "tiny.yaml", "--set", "pretrain.max_steps=100000")
    while "step" not in process.stderr.readline():
        pass

    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)

    assert process.returncode == 130, err
    assert "stopped by Ctrl-C" in err


@pytest.mark.parametrize("stage", ["prepare", "pretrain", "finetune", "evaluate", "export"])
def test_a_full_disk_is_74_and_the_same_command_finishes(at, expected, stage):
    folder = at(stage)

    full = bmtool(folder, stage, "tiny.yaml", fault="enospc@write:1")
    again = bmtool(folder, stage, "tiny.yaml")

    assert full.returncode == 74, full.stderr
    assert "No space left on device" in full.stderr
    assert again.returncode == 0, again.stderr
    assert tree(folder / "runs") == expected(stage)


def test_a_loss_that_is_not_a_number_three_times_and_again_behind_the_start_is_4(at):
    folder = at("pretrain")
    words = ("pretrain", "tiny.yaml", "--set", "pretrain.save_every=1000 steps")

    done = bmtool(folder, *words, fault=",".join(f"nan@step:{step}" for step in (4, 5, 6, 7, 8, 9)))

    assert done.returncode == 4, done.stderr
    assert "training diverged; the weights of the start go on from here" in done.stderr


def test_with_a_saved_state_it_goes_back_and_ends_well(at):
    folder = at("pretrain")

    done = bmtool(folder, "pretrain", "tiny.yaml", "--json", fault="nan@step:4,nan@step:5,nan@step:6")

    assert done.returncode == 0, done.stderr
    assert "training diverged; the weights of step 3 go on from here" in done.stderr
    [result] = json.loads(done.stdout)["results"]
    assert result["summary"]["rollbacks"] == [{"step": 6, "to": 3}]


def test_one_loss_that_is_not_a_number_is_skipped_and_said(at):
    folder = at("pretrain")

    done = bmtool(folder, "pretrain", "tiny.yaml", fault="nan@step:4")

    assert done.returncode == 0, done.stderr
    assert "step 4" in done.stderr


def test_a_failed_gate_is_3_and_3_again_and_costs_no_second_evaluation(at):
    folder = at("evaluate")
    words = ("evaluate", "tiny.yaml", "--json", "--set", "evaluate.gates=[{metric: accuracy, min: 0.99}]")

    first = bmtool(folder, *words)
    second = bmtool(folder, *words)
    lower = bmtool(folder, "evaluate", "tiny.yaml", "--json")

    assert first.returncode == second.returncode == 3
    assert json.loads(second.stdout)["results"][0]["status"] == "gate_failed"
    assert "is below 0.99" in second.stderr
    assert "up to date" in second.stderr
    assert json.loads(lower.stdout)["results"][0]["status"] == "up_to_date"
