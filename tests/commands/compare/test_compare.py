"""`bmtool compare`: two artifacts side by side, and their answers row by row."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from bmtool import cli
from bmtool.artifacts.manifest import FileEntry, Manifest
from bmtool.commands.compare.command import compare
from bmtool.data.scoring.answers import predictions_table, write_predictions
from bmtool.data.scoring.evaluation import evaluate_outputs
from bmtool.data.scoring.scores import paired_difference
from bmtool.data.scoring.seeds import Spread
from bmtool.errors import MissingInputError
from bmtool.metrics.accuracy import Accuracy
from bmtool.metrics.loss import Loss
from typer.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parents[2]))
from project import bmtool, write_project

LABELS = ("bad", "good")
NUM_ROWS = 60
RIGHT = np.arange(NUM_ROWS) % 2
SETTINGS = {"seed": 0, "resamples": 200, "metrics": None}


def manifest(store, name, kind, config=None, inputs=None, summary=None, **more):
    """An artifact in a store, with a fingerprint of its own."""
    folder = store / name
    folder.mkdir(parents=True, exist_ok=True)
    written = Manifest(
        kind, name.partition("-")[0], 1, name.ljust(64, "0"), config or {}, inputs or {},
        {"x": FileEntry(1, name)}, summary or {}, finished="2026-01-02T03:04:05+00:00", **more,
    )  # fmt: skip
    (folder / "manifest.json").write_text(written.to_json())
    return folder


def answers(share, seed):
    """Answers of which `share` are right, and how sure they are."""
    rng = np.random.default_rng(seed)
    predictions = np.where(rng.random(NUM_ROWS) < share, RIGHT, 1 - RIGHT)
    sure = rng.uniform(0.5, 0.9, NUM_ROWS).astype(np.float32)
    probabilities = np.stack([np.where(predictions == label, sure, 1 - sure) for label in (0, 1)], axis=1)
    nll = -np.log(probabilities[np.arange(NUM_ROWS), RIGHT].astype(np.float64))
    return {
        "references": RIGHT, "predictions": predictions, "probabilities": probabilities,
        "nll": nll, "targets": np.ones(NUM_ROWS, np.int64),
    }  # fmt: skip


def evaluation(store, number, outputs, *, labels=LABELS, rows=slice(None), config=None, rate=0.1):
    """An evaluation of `finetune-<number>` on the dataset `stars`."""
    finetune = manifest(store, f"finetune-{number}", "checkpoint", {"data": "stars", "learning_rate": rate})
    (finetune / "bmtool.json").write_text(json.dumps({"labels": labels}))
    outputs = {name: values[rows] for name, values in outputs.items()}
    metrics = [Accuracy(), Loss()]
    measured = evaluate_outputs(
        outputs, metrics, LABELS, dataset="stars", split="test", baselines={}, cut={}, seed=0, resamples=200
    )
    inputs = {"from": {"path": finetune.name, "fingerprint": finetune.name}}
    summary = {"datasets": {"stars": measured.plain()}, "metrics": {"stars": [metric.name() for metric in metrics]}}
    folder = manifest(store, f"evaluate-{number}", "evaluation", SETTINGS | (config or {}), inputs, summary)
    ids = pa.chunked_array([[f"row {place}" for place in range(NUM_ROWS)][rows]])
    table = predictions_table(ids, outputs, LABELS)
    if labels != LABELS:
        turned = outputs | {"probabilities": outputs["probabilities"][:, ::-1]}
        table = table.set_column(3, "scores", predictions_table(ids, turned, LABELS).column("scores"))
    write_predictions(folder / "predictions", table, "f" * 64)
    return folder


def compared(a, b, capsys):
    """The one result of `compare --json`."""
    assert compare(a, b, as_json=True) == 0
    (result,) = json.loads(capsys.readouterr().out)["results"]
    return result


def test_the_difference_is_the_paired_one_on_the_same_rows(tmp_path, capsys):
    few, many = answers(0.6, 1), answers(0.95, 2)
    a, b = evaluation(tmp_path, 1, few), evaluation(tmp_path, 2, many)

    (measured,) = compared(a, b, capsys)["measured"]

    for metric, one in zip((Accuracy(), Loss()), measured["scores"], strict=True):
        theirs, ours = (metric.statistics(outputs, LABELS) for outputs in (few, many))
        wanted = asdict(paired_difference(metric, ours, theirs, 0, 200))
        assert one["difference"] == pytest.approx(wanted, abs=1e-6)
        assert one["verdict"] == "better"
        assert one["b"]["value"] - one["a"]["value"] == pytest.approx(wanted["value"], abs=1e-6)
    assert measured["rows"] == {"both": NUM_ROWS, "only_a": 0, "only_b": 0, "judged_otherwise": 0}


def test_labels_in_another_order_change_nothing(tmp_path, capsys):
    few, many = answers(0.6, 1), answers(0.95, 2)
    a, b = evaluation(tmp_path, 1, few), evaluation(tmp_path, 2, many)
    turned = evaluation(tmp_path, 3, many, labels=LABELS[::-1])

    first, second = (compared(a, one, capsys)["measured"][0]["scores"] for one in (b, turned))

    assert first == second


def test_rows_of_one_side_alone_are_counted_and_said(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    a = evaluation(tmp_path, 1, answers(0.6, 1), rows=slice(0, 50))
    b = evaluation(tmp_path, 2, answers(0.9, 2), rows=slice(20, NUM_ROWS))

    (measured,) = compared(a, b, capsys)["measured"]
    compare(a, b)

    out = capsys.readouterr().out
    assert measured["rows"] == {"both": 30, "only_a": 20, "only_b": 10, "judged_otherwise": 0}
    assert measured["scores"][0]["difference"]["n"] == 30
    said = "stars: NOT THE SAME ROWS: differences are of the 30 that both have; 20 only in a, 10 only in b"
    assert said in out.splitlines()


def test_without_the_checkpoint_the_numbers_stay_and_the_reason_is_said(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    a, b = evaluation(tmp_path, 1, answers(0.6, 1)), evaluation(tmp_path, 2, answers(0.9, 2))
    shutil.rmtree(tmp_path / "finetune-2")

    compare(a, b)

    out = capsys.readouterr().out
    assert "no difference of accuracy, loss: finetune-2, which says the order of the labels, isn't in the store" in out
    assert "0.583 (0.450 to 0.717)" in next(line for line in out.splitlines() if line.startswith("accuracy"))


def test_a_metric_that_was_measured_otherwise_has_no_difference(tmp_path, capsys):
    a = evaluation(tmp_path, 1, answers(0.6, 1))
    b = evaluation(tmp_path, 2, answers(0.9, 2), config={"metrics": [{"type": "accuracy"}, {"type": "loss"}]})
    for folder, k in ((a, 5), (b, 10)):
        plain = json.loads((folder / "manifest.json").read_text())
        plain["summary"]["datasets"]["stars"]["metrics"]["ndcg_at"] = {"value": 1, "low": 1, "high": 1, "n": 1}
        plain["summary"]["metrics"]["stars"].append("ndcg_at")
        plain["config"]["metrics"] = [{"type": "ndcg_at", "k": k}]
        (folder / "manifest.json").write_text(json.dumps(plain))

    scores = {one["metric"]: one for one in compared(a, b, capsys)["measured"][0]["scores"]}

    assert scores["ndcg_at"]["why_not"] == "they measured it in different ways"
    assert scores["ndcg_at"]["difference"] is None
    assert scores["accuracy"]["difference"] is not None


def test_what_differs_on_the_way_to_both_is_found(tmp_path, capsys):
    a = evaluation(tmp_path, 1, answers(0.6, 1), rate=0.1)
    b = evaluation(tmp_path, 2, answers(0.9, 2), rate=0.2)

    origin = compared(a, b, capsys)["origin"]

    assert origin["settings"] == [{"key": "finetune.learning_rate", "a": 0.1, "b": 0.2}]
    assert origin["inputs"] == [{"key": "evaluate: from", "a": "finetune-1", "b": "finetune-2"}]


def test_what_differs_in_several_inputs_alike_is_said_once(tmp_path, capsys):
    def study(number, rate):
        seeds = {}
        for seed in (0, 1):
            name = f"finetune-{number}{seed}"
            manifest(tmp_path, name, "checkpoint", {"learning_rate": rate, "seed": seed})
            seeds[f"seed:{seed}"] = {"path": name, "fingerprint": name}
        return manifest(tmp_path, f"finetune-{number}", "checkpoint", {"learning_rate": rate, "seed": 0}, seeds)

    origin = compared(study(1, 0.1), study(2, 0.2), capsys)["origin"]

    assert origin["settings"] == [{"key": "finetune.learning_rate", "a": 0.1, "b": 0.2}]
    assert [one["a"] for one in origin["inputs"]] == ["finetune-10", "finetune-11"]


def test_the_folder_of_one_of_several_tasks_is_compared_with_what_it_was_made_from(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    folders = []
    for number in (1, 2):
        start = manifest(tmp_path, f"pretrain-{number}", "checkpoint", {"max_steps": number})
        inputs = {"from": {"path": start.name, "fingerprint": start.name}}
        tasks = {"tasks": {"stars": {"task": "text_classification"}}, "validation": {"stars.accuracy": number / 4}}
        whole = manifest(tmp_path, f"finetune-{number}", "checkpoint", {}, inputs, tasks)
        (whole / "bmtool.json").write_text(json.dumps({"tasks": ["stars"]}))
        (whole / "stars").mkdir()
        folders.append(whole / "stars")

    compare(*folders)

    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == f"a  {folders[0]} (finetune-1/stars, 2026-01-02T03:04:05+00:00)"
    assert ["pretrain.max_steps", "1", "2"] in [line.split() for line in lines]
    assert any(line.startswith("validation.stars.accuracy  0.2500") for line in lines)


def test_a_choice_counts_without_its_reason(tmp_path, capsys):
    def made(number, torch, precision, threads):
        environment = {"packages": {"torch": torch}, "choices": {"precision": precision, "threads": threads}}
        return manifest(tmp_path, f"pretrain-{number}", "checkpoint", environment=environment)

    a = made(1, "2.11.0", "bf16 (the processor has AMX)", "2 (asked for)")
    b = made(2, "2.13.0", "bf16 (as the saved state)", "4 (asked for)")

    assert compared(a, b, capsys)["origin"]["environment"] == [
        {"key": "pretrain: torch", "a": "2.11.0", "b": "2.13.0"},
        {"key": "pretrain: threads", "a": "2 (asked for)", "b": "4 (asked for)"},
    ]


def test_trainings_show_their_numbers_and_whether_the_rows_were_others(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")

    def trained(number, accuracy):
        inputs = {"data": {"path": f"prepare-{number}", "fingerprint": f"{number}"}}
        summary = {"validation": {"accuracy": accuracy}, "steps": 40, "tokens_per_second": 1000}
        return manifest(tmp_path, f"finetune-{number}", "checkpoint", {}, inputs, summary)

    a, b = trained(1, 0.5), trained(2, 0.75)

    compare(a, b)

    out = capsys.readouterr().out
    lines = [line.split() for line in out.splitlines()]
    assert ["validation.accuracy", "0.5000", "0.7500", "+0.2500", "+50.0%"] in lines
    assert ["steps", "40", "40"] in lines
    assert "they were trained and validated on different rows" in out.splitlines()


def test_the_same_settings_made_twice_are_compared_all_the_same(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    a = manifest(tmp_path / "one", "pretrain-1", "checkpoint", summary={"steps": 1})
    b = manifest(tmp_path / "two", "pretrain-1", "checkpoint", summary={"steps": 1})
    compare(a, b)
    same = capsys.readouterr().out
    written = Manifest(**json.loads((b / "manifest.json").read_text()))
    (b / "manifest.json").write_text(replace(written, files={"x": FileEntry(1, "other")}).to_json())

    compare(a, b)

    assert "the same artifact: nothing differs" in same
    assert "both are of the same settings and inputs: they were made twice" in capsys.readouterr().out


@pytest.mark.parametrize("width", [40, 100])
def test_no_line_is_longer_than_the_terminal(tmp_path, capsys, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    a = manifest(tmp_path, "pretrain-1", "checkpoint", {"data": "x\x1b[2J" * 40}, summary={"steps": 1})
    b = manifest(tmp_path, "pretrain-2", "checkpoint", {"data": "y" * 200}, summary={"steps": 2})

    compare(a, b)

    out = capsys.readouterr().out
    assert max(len(line) for line in out.splitlines()) <= width
    assert "\x1b" not in out


def test_several_seeds_are_compared_one_by_one(tmp_path, capsys):
    folders = []
    for number, values in ((1, [0.5, 0.6, 0.7]), (2, [0.6, 0.71, 0.79])):
        folder = evaluation(tmp_path, number, answers(0.6, number))
        plain = json.loads((folder / "manifest.json").read_text())
        study = asdict(Spread.of(values))
        plain["summary"]["datasets"]["stars"]["seeds"] = {"seeds": [0, 1, 2], "metrics": {"accuracy": study}}
        (folder / "manifest.json").write_text(json.dumps(plain))
        folders.append(folder)

    (one,) = compared(*folders, capsys)["measured"][0]["seeds"]

    assert (one["metric"], one["verdict"], one["why_not"]) == ("accuracy", "better", "")
    assert one["difference"]["value"] == pytest.approx(0.1)
    assert one["difference"]["n"] == 3


# ---------------------------------------------------------------- projects


@pytest.fixture(scope="module")
def two_projects(tmp_path_factory):
    """`tiny` and `other`, prepared with another filter, in one folder; `tiny` has one dataset more."""
    folder = write_project(tmp_path_factory.mktemp("two") / "project")
    done = bmtool(folder, "prepare", "tiny.yaml")
    changed = ["--set", "name=other", "--set", "prepare.stars.filters=[{type: length, min_chars: 60}]"]
    other = bmtool(folder, "prepare", "tiny.yaml", "stars", *changed)
    assert done.returncode == other.returncode == 0, done.stderr + other.stderr
    return folder


def test_projects_are_compared_by_what_both_have(two_projects, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")

    done = bmtool(two_projects, "compare", "runs/tiny", "runs/other")
    plain = json.loads(bmtool(two_projects, "compare", "runs/tiny", "runs/other", "--json").stdout)

    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stderr
    assert lines[0] == "prepare/stars"
    assert any(line.split() == ["prepare.filters", "[]", "[length]"] for line in lines)
    assert any(line.startswith("dropped.length") for line in lines)
    assert lines[-1] == "only in a: prepare/corpus"
    assert [one["name"] for one in plain["results"]] == ["prepare/stars"]
    assert plain["alone"] == {"a": ["prepare/corpus"], "b": []}
    numbers = {one["name"]: one for one in plain["results"][0]["numbers"]}
    assert numbers["rows_in"]["a"] == numbers["rows_in"]["b"] == 400
    assert numbers["rows_out"]["b"] == numbers["rows_out"]["a"] - numbers["dropped.length"]["b"]


@pytest.mark.parametrize(
    ("a", "b", "said"),
    [
        ("runs/tiny", "runs/tiny/prepare/stars", "is a project with prepare/corpus, prepare/stars, and"),
        ("runs/tiny/prepare/stars", "runs/gone", "runs/gone: there is no such folder"),
        ("runs/tiny/prepare/stars", "runs", "runs: no artifact is here"),
        ("runs/tiny/prepare/stars", "checkpoint/pretrain-1", "Only artifacts of one kind are compared"),
    ],
)
def test_what_can_not_be_compared_is_66(two_projects, a, b, said):
    manifest(two_projects / "checkpoint", "pretrain-1", "checkpoint")

    result = CliRunner().invoke(cli.app, ["compare", a, b, "-C", str(two_projects)])

    assert result.exit_code == MissingInputError.exit_code
    assert said in result.stderr


def test_a_comparison_of_evaluations_does_without_torch(tmp_path):
    a, b = evaluation(tmp_path, 1, answers(0.6, 1)), evaluation(tmp_path, 2, answers(0.9, 2))
    program = (
        "import sys; from pathlib import Path; from bmtool.commands.compare.command import compare;"
        "compare(Path(sys.argv[1]), Path(sys.argv[2]), as_json=True);"
        "print([m for m in ('torch', 'transformers', 'datasets') if m in sys.modules])"
    )

    done = subprocess.run(
        [sys.executable, "-c", program, str(a), str(b)], capture_output=True, text=True, env=dict(os.environ)
    )

    assert done.stdout.splitlines()[-1] == "[]", done.stderr
