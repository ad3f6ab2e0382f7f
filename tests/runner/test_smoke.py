"""A smoke run makes all stages in little, under another name, and nothing else takes what it made."""

import json
from collections import Counter
from pathlib import Path

import pytest
from bmtool.artifacts.store import Store
from bmtool.commands.make import Request, make
from bmtool.console import Console
from bmtool.data.dataset import open_dataset
from bmtool.runner.life import Options
from bmtool.runner.pipeline import load_pipeline
from bmtool.runner.plan import Planner
from bmtool.train.watching.monitor import read_log

CONFIG = """\
version: 1
name: x
runtime: {device: cpu, threads: 1}
prepare:
  corpus:
    sources: texts.jsonl
    split: {validation: 0.2}
    tokenizer: {type: wordpiece, vocab_size: 200}
    limits: {min_rows: 2000}
  stars:
    task: text_classification
    sources: [bad.jsonl, good.jsonl]
    split: {test: 0.01, stratify: label}
pretrain:
  data: corpus
  model: {architecture: bert, hidden_size: 32, num_attention_heads: 2, num_hidden_layers: 1}
  objective: mlm
  max_seq_length: 16
  per_device_batch_tokens: 256
  max_tokens: 400M
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text(CONFIG)
    lines = [json.dumps({"text": f"text number {n}", "label": "mixed"}) + "\n" for n in range(3000)]
    Path("texts.jsonl").write_text("".join(lines))
    for label in ("bad", "good"):
        rows = [json.dumps({"text": f"text {label} {n}", "label": label}) + "\n" for n in range(1200)]
        Path(f"{label}.jsonl").write_text("".join(rows))


def run(*stages, **options):
    request = Request("run", Path("c.yaml"), stages, options=Options(**options))
    return make(request, Console())


def test_a_smoke_run_makes_little_under_a_name_of_its_own(project, capsys):
    code = run("prepare", "pretrain", is_smoke=True)

    store = Store(Path("runs"))
    corpus, stars, model = (store.named(f"x.smoke/{name}") for name in ("prepare/corpus", "prepare/stars", "pretrain"))
    assert code == 0
    assert not Path("runs/x").exists()
    assert all(artifact.is_smoke for artifact in (corpus, stars, model))
    assert sum(corpus.summary["splits"].values()) == 1000
    assert model.summary["steps"] == 20
    log = read_log(model.folder / "metrics.jsonl")
    assert [line["step"] for line in log if line["kind"] == "validation"] == [10, 20]
    err = capsys.readouterr().err
    assert "prepare corpus: gate NOT MET: 1,000 rows, at least 2,000 wanted (no failure in a smoke run)\n" in err


def test_a_few_rows_are_of_all_files_and_of_all_parts_of_a_file(project):
    Path("bad.jsonl").write_text(Path("bad.jsonl").read_text() + Path("good.jsonl").read_text())

    run("prepare", is_smoke=True)

    dataset = open_dataset(Store(Path("runs")).named("x.smoke/prepare/stars").folder)
    labels = [label for split in dataset.splits for label in dataset[split].column("label").to_pylist()]
    assert Counter(dataset.labels[label] for label in labels) == {"bad": 250, "good": 250 + 500}


def test_only_a_smoke_run_reads_what_a_smoke_run_made(project, capsys):
    run("prepare", is_smoke=True)
    folder = Store(Path("runs")).named("x.smoke/prepare/corpus").folder
    Path("c.yaml").write_text(CONFIG.replace("data: corpus", "data: runs/x.smoke/prepare/corpus/"))
    by_path = run("pretrain")
    error = capsys.readouterr().err.splitlines()[-1]
    Path("c.yaml").write_text(
        CONFIG.replace("{type: wordpiece, vocab_size: 200}", "{from: runs/x.smoke/prepare/corpus/}")
    )
    as_tokenizer = run("prepare")

    assert by_path == 66
    assert error == (
        f"error: {folder.resolve()}: a smoke run made this dataset, from a few rows or in a few steps, and only a "
        f"smoke run may read it. Make it without --smoke"
    )
    assert as_tokenizer == 66
    assert (
        "a smoke run learned this tokenizer from a few rows. Take one made without --smoke" in capsys.readouterr().err
    )


def test_a_smoke_run_has_other_fingerprints_even_if_no_setting_differs(project):
    pipeline = load_pipeline(Path("c.yaml"), ["pretrain.max_steps=20", "pretrain.eval_every=10 steps"])
    store = Store(Path("runs"))

    real, little = (Planner(one, store).node("pretrain", None) for one in (pipeline, pipeline.in_little()))

    assert real.config == little.config
    assert real.place != little.place


def test_phases_share_out_the_few_steps(project):
    phases = "[{max_steps: 900}, {num_train_epochs: 2}, {max_tokens: 5M}]"
    pipeline = load_pipeline(Path("c.yaml"), ["pretrain.max_tokens=null", f"pretrain.phases={phases}"]).in_little()

    stretches = pipeline.pretrain.stretches()

    assert [(one.max_steps, one.max_tokens, one.num_train_epochs) for one in stretches] == [(6, None, None)] * 3
