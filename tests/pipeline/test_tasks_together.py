"""A file whose finetune section has several tasks: all stages in little, and killed."""

import csv
import json
import random
import re
import shutil
import signal
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent.parent))
from project import bmtool, tree, write_project

FILE = """\
version: 1
name: both
seed: 3
runtime: {device: cpu, threads: 1}
prepare:
  corpus:
    sources: reviews.csv
    columns: {text: body}
    tokenizer: {type: wordpiece, vocab_size: 300}
  stars:
    task: text_classification
    sources: reviews.csv
    columns: {text: body, label: stars}
    split: {validation: 0.2, test: 0.2, group: customer}
  lengths:
    task: text_regression
    sources: lengths.csv
    columns: {text: body, score: words}
    split: {validation: 0.2, test: 0.2, group: customer}
finetune:
  data: [stars, lengths]
  model: {architecture: bert, size: tiny}
  tokenizer: corpus
  max_seq_length: 32
  per_device_batch_tokens: 512
  gradient_accumulation_steps: 2
  num_train_epochs: 1
  learning_rate: 1e-3
  class_weights: balanced
  precision: fp32
  save_every: 2 steps
  seeds: 2
evaluate:
  baselines: [majority, {type: from_scratch, learning_rates: [1e-3]}]
  gates: [{metric: accuracy, min: 0.2, data: stars, seeds: mean}]
"""
ONE_SEED = ["--set", "finetune.seeds=1", "--set", "evaluate=null"]


@pytest.fixture
def project(tmp_path):
    folder = write_project(tmp_path / "project", FILE)
    rng = random.Random(1)
    with (folder / "reviews.csv").open(encoding="utf-8") as handle:
        rows = list(csv.reader(handle))
    with (folder / "lengths.csv").open("w", encoding="utf-8", newline="") as handle:
        lengths = [[body, rng.randint(1, 9), customer] for body, _, customer in rows[1:]]
        csv.writer(handle).writerows([["body", "words", "customer"], *lengths])
    return folder


def test_a_file_of_several_tasks_runs_in_little_with_seeds_and_a_baseline_that_is_trained(project):
    assert bmtool(project, "check", "tiny.yaml").returncode == 0

    done = bmtool(project, "run", "tiny.yaml", "--smoke", "--json")

    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)["results"][-1]["summary"]["datasets"]
    assert set(result["stars"]["baselines"]) == {"majority", "from_scratch"}
    assert set(result["lengths"]["seeds"]["metrics"]) >= {"rmse", "pearson"}


def test_a_kill_in_a_step_changes_nothing(project, tmp_path):
    arguments = ["finetune", "tiny.yaml", *ONE_SEED]
    assert bmtool(project, "prepare", "tiny.yaml").returncode == 0
    shutil.copytree(project, tmp_path / "whole", symlinks=True)
    assert bmtool(tmp_path / "whole", *arguments).returncode == 0

    killed = bmtool(project, *arguments, fault="kill@step:6")
    again = bmtool(project, *arguments)

    assert killed.returncode == -signal.SIGKILL
    # 2 was awaited before 4 was begun; 4 may be there in time
    assert re.search(r"resumed from step [24] ", again.stderr)
    assert again.stderr.splitlines()[-1] == "next: bmtool predict runs/both/finetune FILE --task lengths"
    assert tree(project / "runs") == tree(tmp_path / "whole" / "runs")
