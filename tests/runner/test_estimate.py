"""What `--dry-run` says of training before it begins holds for the run that follows."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from bmtool.artifacts.manifest import Manifest
from bmtool.artifacts.store import Store
from bmtool.commands.make import Request, make
from bmtool.config.model import validate
from bmtool.console import Console
from bmtool.runner.estimate import ASSUMED_SHARE, share_reached, time_text
from bmtool.runner.life import Options
from bmtool.stages import finetune, pretrain
from bmtool.train.sizing.estimate import STEP_SECONDS, estimate

CPU = torch.device("cpu")
PRETRAIN = {
    "data": "corpus",
    "model": {"architecture": "bert", "hidden_size": 32, "num_attention_heads": 2, "num_hidden_layers": 2},
    "objective": "mlm",
    "max_seq_length": 32,
    "per_device_batch_tokens": 256,
    "precision": "fp32",
}


@pytest.mark.parametrize("budget", [{"max_steps": 4}, {"max_tokens": 2000}, {"num_train_epochs": 1.5}])
def test_weights_steps_and_tokens_of_pre_training_are_those_of_the_run(make_job, tmp_path, corpus, budget):
    config = validate(pretrain.Config, PRETRAIN | budget)
    job = make_job(tmp_path / "a", {"data": corpus})

    taken = estimate(pretrain.outline(config, job), torch.float32, job.seed, device=CPU)
    summary = pretrain.run(config, job)

    assert taken.parameters == summary["parameters"]
    assert taken.steps == summary["steps"]
    assert taken.tokens == pytest.approx(summary["tokens"], rel=0.1)


def test_fine_tuning_is_outlined_from_the_checkpoint_without_its_weights(make_job, tmp_path, reviews, pretrained):
    config = validate(finetune.Config, {"data": "stars", "num_train_epochs": 2, "max_seq_length": 32})
    job = make_job(tmp_path / "a", {"data": reviews, "from": pretrained})

    outline = finetune.outline(config, job)
    in_float32, in_bfloat16 = (
        estimate(outline, dtype, 0, device=CPU).memory for dtype in (torch.float32, torch.bfloat16)
    )

    count = sum(one.numel() for one in outline.model.parameters())
    assert all(one.is_meta for one in outline.model.parameters())
    assert in_float32["optimizer"] == 8 * count
    assert (in_float32["weights"], in_bfloat16["weights"]) == (4 * count, 6 * count)
    assert in_bfloat16["activations"] < 0.6 * in_float32["activations"]
    assert list(job.folder.iterdir()) == []


CONFIG = """\
version: 1
name: x
runtime: {device: cpu, threads: 1}
prepare:
  corpus: {sources: texts.jsonl, tokenizer: {type: wordpiece, vocab_size: 200}}
pretrain:
  data: corpus
  model: {architecture: bert, hidden_size: 32, num_attention_heads: 2, num_hidden_layers: 1}
  objective: mlm
  max_seq_length: 16
  per_device_batch_tokens: 256
  max_steps: 7
"""


def test_a_dry_run_says_what_training_takes_once_its_data_is_there(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text(CONFIG)
    Path("texts.jsonl").write_text("".join(json.dumps({"text": f"text number {n}"}) + "\n" for n in range(300)))

    def run(command, **options):
        request = Request(command, Path("c.yaml"), (command,), as_json=True, options=Options(**options))
        assert make(request, Console()) == 0
        said = capsys.readouterr()
        return json.loads(said.out)["results"][-1], said.err

    before, said_before = run("pretrain", dry_run=True)
    run("prepare")
    after, said_after = run("pretrain", dry_run=True)

    assert before["summary"]["estimate"]["missing"] == ["prepare corpus"]
    assert (
        "pretrain: from settings alone, with 200 tokens of prepare.corpus.tokenizer and texts of 16 tokens; what the "
        "data decides is known once prepare corpus is made\n"
    ) in said_before
    taken = after["summary"]["estimate"]
    assert (after["status"], taken["steps"], taken["share"]) == ("would_run", 7, ASSUMED_SHARE)
    arithmetic = taken["operations"] / taken["matmul_peak"] / ASSUMED_SHARE
    assert taken["seconds"] == pytest.approx(arithmetic + 7 * STEP_SECONDS)
    assert taken["read_tokens"] == 0
    assert f" weights, 7 steps, {taken['tokens']:,} tokens\n" in said_after
    assert "a step, without validation" in said_after


WHOLE = """\
version: 1
name: x
runtime: {device: cpu, threads: 1}
prepare:
  corpus: {sources: rows.jsonl, tokenizer: {type: wordpiece, vocab_size: 120}}
  stars: {sources: rows.jsonl, task: text_classification, split: {validation: 0.2}}
pretrain:
  data: corpus
  model: {architecture: bert, hidden_size: 16, num_attention_heads: 2, num_hidden_layers: 1}
  objective: mlm
  max_seq_length: 16
  per_device_batch_tokens: 128
  max_tokens: 2k
  precision: fp32
finetune: {data: stars, max_seq_length: 16, num_train_epochs: 2, precision: fp32}
evaluate: {split: validation}
"""


def dry_run(capsys, command="run", **options):
    """What is said of each stage, and the lines about it."""
    request = Request(command, Path("c.yaml"), as_json=True, options=Options(dry_run=True, **options))
    assert make(request, Console()) == 0
    said = capsys.readouterr()
    results = {result["stage"]: result["summary"] for result in json.loads(said.out)["results"]}
    return results, said.err


def test_before_anything_is_made_settings_say_what_they_can_and_the_run_bears_it_out(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text(WHOLE)
    letters = "abcdefghijklmnopqrstuvwxyz"
    words = [one + other for one in letters for other in letters]
    rows = [{"text": " ".join(words[n % 600 : n % 600 + 9]), "label": "ab"[n % 2]} for n in range(900)]
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    found, said = dry_run(capsys)
    has_made_something = Path("runs").exists()
    assert make(Request("run", Path("c.yaml"), ("prepare", "pretrain")), Console(quiet=True)) == 0
    capsys.readouterr()
    made = json.loads(Path("runs/x/pretrain/manifest.json").read_text())["summary"]
    known = dry_run(capsys)[0]["finetune"]["estimate"]

    assert not has_made_something
    first, second = found["pretrain"]["estimate"], found["finetune"]["estimate"]
    assert (first["parameters"], first["missing"]) == (made["parameters"], ["prepare corpus"])
    assert first["steps"] == pytest.approx(made["steps"], abs=1)
    assert first["seconds"] > 0
    assert "pretrain: learning rate 0.00198 (by the model's width of 16)\n" in said
    assert (second["steps"], second["tokens"], second["seconds"]) == (None, None, None)
    assert second["step_seconds"] > 0
    assert (second["parameters"], second["disk"]) == (known["parameters"], known["disk"])
    assert known["steps"] > 0
    assert second["memory"]["optimizer"] == known["memory"]["optimizer"]
    assert second["memory"]["activations"] >= known["memory"]["activations"]
    assert "finetune: steps unknown" not in said
    assert "weights, steps unknown yet: num_train_epochs counts passes over the data\n" in said
    assert (
        "finetune: from settings alone, with 2 labels in prepare.stars and texts of 16 tokens; what the data decides "
        "is known once prepare stars and pretrain are made\n"
    ) in said


def test_where_a_method_reads_first_its_time_is_left_open(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text(WHOLE.replace("num_train_epochs: 2,", "max_steps: 5, method: frozen,"))
    Path("rows.jsonl").write_text(json.dumps({"text": "a", "label": "a"}) + "\n")

    found, said = dry_run(capsys)

    taken = found["finetune"]["estimate"]
    assert (taken["steps"], taken["seconds"], taken["step_seconds"]) == (5, None, None)
    assert "finetune: how long it takes, with what frozen reads or trains first, is unknown yet\n" in said


SEEDS = """\
version: 1
name: x
runtime: {device: cpu, threads: 1}
prepare:
  corpus: {sources: rows.jsonl, tokenizer: {type: wordpiece, vocab_size: 100}}
  stars: {sources: rows.jsonl, task: text_classification}
finetune:
  data: stars
  model: {architecture: bert, hidden_size: 8, num_attention_heads: 1, num_hidden_layers: 1}
  tokenizer: corpus
  max_seq_length: 8
  per_device_batch_tokens: 128
  max_steps: 2
  seeds: 2
"""


def test_of_several_seeds_each_is_estimated_and_force_trains_them_again(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text(SEEDS)
    rows = [{"text": f"{word} film {n}", "label": word} for n in range(20) for word in ("good", "bad")]
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    def run(*overrides, command="finetune", **options):
        given = Options(overrides=overrides, **options)
        assert make(Request(command, Path("c.yaml"), (command,), as_json=True, options=given), Console()) == 0
        said = capsys.readouterr()
        return json.loads(said.out)["results"][-1], said.err

    run(command="prepare")
    before, said_before = run(dry_run=True)
    run("finetune.seeds=1")
    run("finetune.seeds=1", "finetune.seed=1")
    after, said_after = run(dry_run=True)
    _, said = run()
    _, said_forced = run(force=True)

    assert "finetune: 2 to train, one after the other, each:\n" in said_before
    assert (before["summary"]["estimate"]["trainings"], before["summary"]["estimate"]["steps"]) == (2, 2)
    assert (after["status"], after["summary"]) == ("would_run", {})
    assert "finetune: nothing is left to train\n" in said_after
    assert [f"finetune, seed:{seed}: up to date" in said for seed in (0, 1)] == [True, True]
    assert [f"finetune, seed:{seed}: --force\n" in said_forced for seed in (0, 1)] == [True, True]


def test_what_a_section_learns_from_is_no_seed_of_it_and_is_estimated_first(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    method = "  method: {type: semi_supervised, unlabelled: corpus, teachers: 2, keep: 1}\n"
    Path("c.yaml").write_text(SEEDS.replace("  seeds: 2\n", method).replace("rows.jsonl", "texts.jsonl", 1))
    rows = [{"text": f"{word} film {n}", "label": word} for n in range(20) for word in ("good", "bad")]
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    Path("texts.jsonl").write_text("".join(json.dumps({"text": f"a film, number {n}"}) + "\n" for n in range(30)))

    def run(command="finetune", **options):
        request = Request(command, Path("c.yaml"), (command,), as_json=True, options=Options(**options))
        assert make(request, Console()) == 0
        said = capsys.readouterr()
        return json.loads(said.out)["results"][-1]["summary"], said.err

    run("prepare")
    told, before = run(dry_run=True)
    (_, made), (_, forced) = run(), run(force=True)

    taken = told["estimate"]
    assert "finetune: first 2 to train (teacher:0, teacher:1000), one after the other, each:\n" in before
    assert taken["made_first"]["trainings"] == 2
    assert taken["all_seconds"] == pytest.approx(taken["seconds"] + taken["made_first"]["seconds"])
    assert 0 < taken["seconds"] < taken["all_seconds"]
    assert "finetune: of 30 texts without labels" in made
    assert "finetune, teacher:0: up to date" in forced


def manifest(fingerprint, share, finished, precision="bf16 (asked for)"):
    choices = {"precision": precision, "device": "cpu (asked for)"}
    plain = Manifest("checkpoint", "pretrain", 1, fingerprint, {}, {}, {}, {"flop_utilisation": share})
    return replace(plain, environment={"choices": choices}, finished=finished)


def test_the_speed_reckoned_with_is_that_of_the_newest_runs_of_the_same_kind(tmp_path):
    store = Store(tmp_path)
    runs = [manifest(f"{n}" * 12, n / 10, f"2026-01-0{n}") for n in range(1, 8)]
    others = [manifest("a" * 12, 0.9, "2026-02-01", "fp32 (asked for)"), manifest("b" * 12, None, "2026-02-02")]
    for one in [*runs, *others]:
        folder = store.place("pretrain", one.fingerprint).folder
        folder.mkdir(parents=True)
        (folder / "manifest.json").write_text(one.to_json())

    assert share_reached(store, "bf16 ", "cpu") == (0.5, "as 5 earlier runs here")
    assert share_reached(store, "fp32 ", "cpu") == (0.9, "as 1 earlier run here")
    assert share_reached(store, "bf16 ", "cuda") == (
        ASSUMED_SHARE,
        "assumed: no run here was long enough to be measured",
    )


def test_times_are_said_in_the_unit_that_fits():
    assert [time_text(seconds) for seconds in (0.25, 90, 5400, 200_000)] == ["0.25 s", "1.5 min", "1.5 h", "2.3 days"]


def test_once_the_rows_are_there_epochs_are_counted_though_the_model_to_start_from_is_not(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    Path("c.yaml").write_text(WHOLE)
    rows = [{"text": f"{'lovely' if n % 2 else 'awful'} film number {n}", "label": "ab"[n % 2]} for n in range(600)]
    Path("rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert make(Request("prepare", Path("c.yaml"), ("prepare",)), Console(quiet=True)) == 0
    capsys.readouterr()

    found, said = dry_run(capsys)
    assert make(Request("pretrain", Path("c.yaml"), ("pretrain",)), Console(quiet=True)) == 0
    capsys.readouterr()
    known = dry_run(capsys)[0]["finetune"]["estimate"]

    before = found["finetune"]["estimate"]
    same = ("parameters", "steps", "tokens", "operations", "memory", "disk", "choices")
    assert {name: before[name] for name in same} == {name: known[name] for name in same}
    assert (before["missing"], before["given"]) == (["pretrain"], [])
    assert "finetune: counted with the rows that are there, for the model that pretrain will make\n" in said
    assert "unknown yet" not in said
