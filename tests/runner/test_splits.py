"""A split that a stage reads and that has no row is told before anything is trained."""

import json
from pathlib import Path

import pytest
from bmtool.commands.make import Request, make
from bmtool.config.references import STAGES
from bmtool.console import Console
from bmtool.runner.life import Options

CONFIG = """\
version: 1
name: x
runtime: {device: cpu, threads: 1}
prepare:
  corpus:
    sources: texts.jsonl
    tokenizer: {type: wordpiece, vocab_size: 100}
  stars:
    task: text_classification
    sources: stars.jsonl
    split: SPLIT
finetune:
  data: stars
  model: {architecture: bert, hidden_size: 32, num_attention_heads: 2, num_hidden_layers: 1}
  tokenizer: corpus
  max_seq_length: 16
  max_steps: 1
evaluate: {}
"""


@pytest.fixture
def run(tmp_path, monkeypatch, capsys):
    """The exit code of a run with a split and rows of each label, the stages that were made, and the last line."""
    monkeypatch.chdir(tmp_path)

    def run(split, per_label, until="export", **options):
        Path("c.yaml").write_text(CONFIG.replace("SPLIT", split))
        Path("texts.jsonl").write_text("".join(json.dumps({"text": f"a text number {n}"}) + "\n" for n in range(50)))
        rows = [{"text": f"{label} {n}", "label": label} for label in ("bad", "good") for n in range(per_label)]
        Path("stars.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        stages = STAGES[: STAGES.index(until) + 1]
        code = make(Request("run", Path("c.yaml"), stages, options=Options(**options)), Console())
        made = {path.name.partition("-")[0] for path in Path("runs/store").glob("*-*")}
        return code, made, capsys.readouterr().err.splitlines()[-1]

    return run


def test_an_empty_test_split_is_told_with_its_numbers_before_training(run):
    code, made, said = run("{test: 0.01}", 3)

    assert (code, made) == (65, {"prepare"})
    assert said == (
        "error: evaluate reads the test split of 'stars', which is empty: the rows are train 6, test 0. Add rows, or "
        "change prepare.stars.split; `bmtool run --until finetune` does without"
    )


def test_a_split_that_is_never_asked_for_is_told_before_anything_is_made(run):
    code, made, said = run("{validation: 0.1}", 30)

    assert (code, made) == (2, set())
    assert said == (
        "c.yaml:18:1: evaluate.split: 'stars' has no test split, only train and validation. Set "
        "prepare.stars.split.test, such as 0.1; `bmtool run --until finetune` does without"
    )


def test_a_dry_run_tells_it_too(run):
    assert run("{}", 30, dry_run=True)[:2] == (2, set())


@pytest.mark.parametrize("split", ["{test: 0.01}", "{}"])
def test_who_does_not_evaluate_needs_no_test_row(run, split):
    code, made, _ = run(split, 3, until="finetune")

    assert (code, made) == (0, {"prepare", "finetune"})


def test_a_train_split_without_rows_is_told_by_the_stage_that_learns(run):
    code, made, said = run("{test: 1}", 3)

    assert (code, made) == (2, set())
    assert said == (
        "c.yaml:13:3: finetune.data: 'stars' has no train split, only test. Lower the shares in prepare.stars.split"
    )


def test_a_dataset_of_elsewhere_without_the_split_is_told_before_anything_is_made(run):
    run("{validation: 0.1}", 30, until="prepare")
    text = Path("c.yaml").read_text().replace("evaluate: {}", "evaluate: {data: ./runs/x/prepare/stars}")
    Path("d.yaml").write_text(text.replace("name: x", "name: y"))

    code = make(Request("run", Path("d.yaml")), Console())

    assert (code, Path("runs/y").exists()) == (2, False)
