import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from bmtool import cli
from bmtool.artifacts.manifest import Manifest
from bmtool.commands.inspect import inspect
from bmtool.errors import DataError, MissingInputError
from typer.testing import CliRunner


def with_manifest(folder, kind, summary=None, config=None):
    folder.mkdir(parents=True, exist_ok=True)
    manifest = Manifest(
        kind, "evaluate", 1, "f" * 64, config or {}, {"from": {"path": "finetune-1"}}, {}, summary or {},
        finished="2026-01-02T03:04:05+00:00",
    )  # fmt: skip
    (folder / "manifest.json").write_text(manifest.to_json())
    return folder


METRICS = {
    "stars": {
        "split": "test",
        "n": 9,
        "metrics": {"accuracy": {"value": 0.75, "low": 0.5, "high": 0.9, "n": 9}},
        "baselines": {"tfidf": {"accuracy": {"value": 0.5, "low": 0.25, "high": 0.75, "n": 9}}},
    }
}


def test_an_evaluation_shows_the_model_beside_its_baselines(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    folder = with_manifest(tmp_path / "evaluate-1", "evaluation", {"cut": 5})
    (folder / "metrics.json").write_text(json.dumps({"datasets": METRICS, "gates": []}))

    code = inspect(folder)

    lines = capsys.readouterr().out.splitlines()
    assert code == 0
    assert f"artifact     {folder}" in lines
    assert "read         1 inputs: from finetune-1" in lines
    assert "cut          5" in lines
    assert "stars test  model  accuracy  0.7500  0.5000  0.9000  9" in lines
    assert "stars test  tfidf  accuracy  0.5000  0.2500  0.7500  9" in lines


def test_what_steps_of_a_dataset_took_is_shown_in_their_order(reviews, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    steps = {"write": (0.5, 2.0, 4.0), "read": (2.5, 50.0, None)}
    keys = ("cpu_seconds", "mb", "mb_per_second")
    took = {step: dict(zip(keys, values, strict=True)) for step, values in steps.items()}
    manifest = replace(reviews.manifest, environment={"throughput": took})
    shutil.copytree(reviews.folder, tmp_path / "stars")
    (tmp_path / "stars" / "manifest.json").write_text(manifest.to_json())

    inspect(tmp_path / "stars")

    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    first = lines.index(["step", "CPU", "seconds", "MB", "MB", "a", "CPU", "second"])
    assert [(line[0], line[-3:]) for line in lines[first + 2 : first + 4]] == [
        ("reading:", ["2.5000", "50.00", "-"]),
        ("writing", ["0.5000", "2.0000", "4.0000"]),
    ]


def test_json_holds_the_whole_manifest(tmp_path, capsys):
    folder = with_manifest(tmp_path / "export-1", "bundle", config={"split": "测试"})

    inspect(folder, as_json=True)

    result = json.loads(capsys.readouterr().out)["results"][0]
    assert result["manifest"]["config"] == {"split": "测试"}
    assert result["metrics"] == []


def test_a_dataset_shows_splits_columns_and_labels_by_name(reviews, capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    link = tmp_path / "stars"
    link.symlink_to(reviews.folder)
    (reviews.folder / "manifest.json").write_text(reviews.manifest.to_json())

    inspect(link)

    lines = capsys.readouterr().out.splitlines()
    (reviews.folder / "manifest.json").unlink()
    assert any(line.startswith("train: ") and "text string, label int64" in line for line in lines)
    assert any('"label": "good"' in line or '"label": "bad"' in line for line in lines)


@pytest.mark.parametrize("width", [40, 100])
def test_no_line_is_longer_than_the_terminal(tmp_path, capsys, monkeypatch, width):
    monkeypatch.setenv("COLUMNS", str(width))
    folder = with_manifest(tmp_path / "evaluate-1", "evaluation", {"text": "x\x1b[2J" * 99})

    inspect(folder)

    out = capsys.readouterr().out
    assert max(len(line) for line in out.splitlines()) <= width
    assert "\x1b" not in out


def test_a_folder_without_a_manifest_is_no_artifact(tmp_path):
    with pytest.raises(MissingInputError, match="no artifact is here"):
        inspect(tmp_path)


def test_a_file_is_no_artifact_either(tmp_path):
    file = tmp_path / "reviews.csv"
    file.touch()

    with pytest.raises(MissingInputError, match="this is a file; an artifact is a folder"):
        inspect(file)


def test_broken_metrics_are_named(tmp_path):
    folder = with_manifest(tmp_path / "evaluate-1", "evaluation")
    (folder / "metrics.json").write_text("{")

    with pytest.raises(DataError, match=r"metrics\.json: the metrics can't be read"):
        inspect(folder)


def test_the_folder_of_one_of_several_tasks_shows_what_is_its_own(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    summary = {
        "tasks": {"stars": {"task": "text_classification"}, "names": {"task": "token_classification"}},
        "steps": 40,
        "validation": {"stars.accuracy": 0.5, "names.f1_span": 0.25, "mean_of_tasks": 0.375},
    }
    folder = with_manifest(tmp_path / "finetune-1", "checkpoint", summary)
    (folder / "bmtool.json").write_text(json.dumps({"tasks": ["names", "stars"]}))
    (folder / "stars").mkdir()
    (tmp_path / "finetune").symlink_to(folder)
    monkeypatch.chdir(folder / "stars")

    pages = []
    for path in (tmp_path / "finetune" / "stars", Path()):
        inspect(path)
        pages.append(capsys.readouterr().out.splitlines())

    for lines in pages:
        assert f"artifact     {folder / 'stars'}" in lines
        assert f"part of      {folder}" in lines
        assert "task         text_classification" in lines
        assert "steps        40" in lines
        assert 'validation   {"stars.accuracy": 0.5}' in lines
        assert not any(line.startswith("tasks") for line in lines)


def test_a_folder_that_is_no_task_of_the_artifact_is_still_refused(tmp_path):
    folder = with_manifest(tmp_path / "finetune-1", "checkpoint")
    (folder / "bmtool.json").write_text(json.dumps({"tasks": ["names"]}))
    (folder / "other").mkdir()

    with pytest.raises(MissingInputError, match="no artifact is here"):
        inspect(folder / "other")


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--model", "m"], "--model says who reads the rows that --mask shows: add --mask"),
        (["--model", "m", "--row", "a"], "--model and --row show different things: give one of them"),
        (["--mask", "--row", "a"], "--mask and --row show different things: give one of them"),
    ],
)
def test_flags_that_would_have_no_effect_are_refused(tmp_path, flags, said):
    result = CliRunner().invoke(cli.app, ["inspect", str(with_manifest(tmp_path / "a", "bundle")), *flags])

    assert result.exit_code == 2
    assert said in result.stderr
