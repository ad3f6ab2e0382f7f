"""A checkpoint of several tasks goes through the later stages: each task is measured, exported and asked by itself."""

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from bmtool import load
from bmtool.commands.predict import predict
from bmtool.config.model import validate
from bmtool.console import Console
from bmtool.errors import ConfigError, MissingInputError
from bmtool.registry import TASKS
from bmtool.runner.pipeline import Pipeline
from bmtool.stages import evaluate, export, finetune
from datasets import load_from_disk

TRAINING = {
    "data": ["stars", "names"],
    "num_train_epochs": 8,
    "learning_rate": 5e-3,
    "per_device_batch_tokens": 128,
    "max_seq_length": 32,
    "precision": "fp32",
}
GATES = [{"metric": "accuracy", "min": 0.5}, {"metric": "f1_span", "min": 1.01, "data": "names"}]


@pytest.fixture(scope="module")
def trained(reviews, tagged, pretrained, job_at, tmp_path_factory):
    def train(seed):
        inputs = {"data:stars": reviews, "data:names": tagged, "from": pretrained}
        work = job_at(tmp_path_factory.mktemp("trained") / f"finetune-{seed}", inputs, seed=seed)
        summary = finetune.run(validate(finetune.Config, TRAINING | {"seed": seed}), work.job)
        return work.as_artifact("checkpoint", summary)

    return train


@pytest.fixture(scope="module")
def tuned(trained):
    return trained(0)


@pytest.fixture(scope="module")
def evaluated(tuned, reviews, tagged, job_at, tmp_path_factory):
    inputs = {"from": tuned, "data:stars": reviews, "data:names": tagged}
    work = job_at(tmp_path_factory.mktemp("evaluated"), inputs)
    config = validate(evaluate.Config, {"baselines": ["majority", "tfidf"], "gates": GATES})
    return work.job, evaluate.run(config, work.job)


# ---------------------------------------------------------------- evaluate


def test_each_task_has_its_own_metrics_baselines_and_predictions(evaluated):
    job, summary = evaluated

    datasets = json.loads((job.folder / "metrics.json").read_text(encoding="utf-8"))["datasets"]

    assert datasets == summary["datasets"]
    assert set(datasets["stars"]["metrics"]) == set(TASKS.load("text_classification")().metrics)
    assert set(datasets["names"]["metrics"]) == set(TASKS.load("token_classification")().metrics)
    assert datasets["stars"]["metrics"]["accuracy"]["value"] > 0.9
    assert datasets["names"]["metrics"]["f1_span"]["value"] > 0.9
    assert set(datasets["stars"]["baselines"]) == {"majority", "tfidf"}
    assert set(datasets["names"]["baselines"]) == {"majority"}
    assert any("baseline tfidf can't do token_classification" in line for line in job.console.lines)
    for name in ("stars", "names"):
        assert load_from_disk(str(job.folder / "predictions" / name)).num_rows == datasets[name]["n"]


def test_the_report_has_a_table_for_each_task_and_the_gates_above(evaluated):
    job, summary = evaluated

    text = (job.folder / "summary.md").read_text(encoding="utf-8")
    page = (job.folder / "report.html").read_text(encoding="utf-8")

    assert text.index("# Gates") < text.index("# names, test") < text.index("# stars, test")
    assert page.index("Gates</h2>") < page.index("names: Result</h2>") < page.index("stars: Result</h2>")
    assert page.count("<svg") == 6  # of each task: model beside baselines, confusion matrix, loss curves
    lines = evaluate.describe(summary)
    assert [line.partition(":")[0] for line in lines if "better than majority" in line] == ["names", "stars"]


def test_a_gate_is_for_every_task_or_for_the_one_that_it_names(evaluated):
    _, summary = evaluated

    judged = evaluate.gates(validate(evaluate.Config, {"gates": GATES}), summary)

    assert [(gate.name, gate.passed) for gate in judged] == [
        ("names: accuracy min 0.5", True),
        ("stars: accuracy min 0.5", True),
        ("names: f1_span min 1.01", False),
    ]


def test_a_task_alone_gives_the_same_numbers_by_name_and_by_folder(evaluated, tuned, reviews, make_job, tmp_path):
    _, summary = evaluated
    by_name = make_job(tmp_path / "name", {"from": tuned, "data:stars": reviews})
    by_folder = make_job(tmp_path / "folder", {"from": (tuned.folder / "stars", "checkpoint"), "data:any": reviews})

    found = [evaluate.run(validate(evaluate.Config, {}), job) for job in (by_name, by_folder)]

    wanted = summary["datasets"]["stars"]["metrics"]
    assert found[0]["datasets"]["stars"]["metrics"] == wanted == found[1]["datasets"]["any"]["metrics"]
    assert load_from_disk(str(by_name.folder / "predictions")).num_rows == found[0]["datasets"]["stars"]["n"]


def test_other_data_needs_to_be_told_which_task_it_is_for(tuned, reviews, make_job):
    job = make_job(inputs={"from": tuned, "data:films": reviews})

    with pytest.raises(MissingInputError) as error:
        evaluate.run(validate(evaluate.Config, {}), job)

    assert str(error.value) == (
        f"{tuned.folder}: the checkpoint's tasks are names, stars, and the dataset is 'films'. To evaluate one of them "
        f"on other data, name its folder: from: {tuned.folder}/names/"
    )


def test_seeds_are_studied_task_by_task(tuned, trained, reviews, tagged, make_job):
    job = make_job(inputs={"from": tuned, "seed:1": trained(1), "data:stars": reviews, "data:names": tagged})

    summary = evaluate.run(validate(evaluate.Config, {}), job)

    for name, metric in {"stars": "accuracy", "names": "f1_span"}.items():
        study = summary["datasets"][name]["seeds"]["metrics"][metric]
        assert len(study["values"]) == 2
        assert study["values"][0] == summary["datasets"][name]["metrics"][metric]["value"]


def test_the_section_that_trains_several_says_what_is_evaluated():
    file = Pipeline(Path("x.yaml"), "x", finetune=validate(finetune.Config, TRAINING))

    needs = evaluate.needs(validate(evaluate.Config, {}), file)

    assert {role: str(need.reference) for role, need in needs.items()} == {
        "from": "finetune",
        "data:stars": "stars",
        "data:names": "names",
    }


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"gates": [{"metric": "accuracy", "min": 0.5, "data": "star"}]},
            "x.yaml: evaluate.gates[0].data: 'star' isn't evaluated here. Did you mean 'stars'?",
        ),
        (
            {"baselines": ["tfidf_retrieval"]},
            "x.yaml: evaluate.baselines: tfidf_retrieval answers pairs of texts, and text_classification",
        ),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_made(settings, message):
    names = {"stars": "text_classification", "names": "token_classification"}
    prepared = {name: SimpleNamespace(task=TASKS.load(task)()) for name, task in names.items()}
    file = Pipeline(Path("x.yaml"), "x", prepare=prepared, finetune=validate(finetune.Config, TRAINING))

    with pytest.raises(ConfigError) as error:
        evaluate.needs(validate(evaluate.Config, settings), file)

    assert str(error.value).partition(" reads ")[0] == message.partition(" answers ")[0]


# ---------------------------------------------------------------- predict, export


def test_a_model_of_several_tasks_is_asked_by_the_name_of_one(tuned, tmp_path, capsys):
    (tmp_path / "rows.jsonl").write_text(json.dumps({"text": "a great film"}) + "\n", encoding="utf-8")

    predict(tuned.folder, str(tmp_path / "rows.jsonl"), task="stars", console=Console())

    [row] = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert row["label"] == "good" == load(tuned.folder, task="stars")(["a great film"])[0]["label"]
    assert load(tuned.folder / "stars")(["a great film"]) == load(tuned.folder, task="stars")(["a great film"])


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ("", "this model has several tasks, names, stars. Say which one, as in --task names, or give its folder:"),
        ("star", "there is no task 'star'. Did you mean 'stars'? There: names, stars"),
    ],
)
def test_which_task_is_meant_must_be_said(tuned, task, message):
    with pytest.raises((ConfigError, MissingInputError)) as error:
        load(tuned.folder, task=task)

    assert message in str(error.value)


def test_a_task_is_exported_into_a_folder_of_its_own(tuned, reviews, make_job):
    pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    job = make_job(inputs={"from": tuned, "data:stars": reviews})

    summary = export.run(validate(export.Config, {"formats": ["onnx"], "max_rows": 5}), job)

    assert [gate.name for gate in export.gates(validate(export.Config, {"formats": ["onnx"]}), summary)] == [
        "stars onnx"
    ]
    assert (job.folder / "stars" / "README.md").exists()
    assert load(job.folder, task="stars")(["a great film"])[0]["label"] == "good"


@pytest.mark.parametrize(
    ("settings", "roles"),
    [
        ({}, ["data:stars", "data:names"]),
        ({"data": "stars"}, ["data:stars"]),
        ({"from": "./x/stars/", "data": "stars"}, ["data"]),
    ],
)
def test_what_is_exported_is_every_task_or_the_one_that_is_named(settings, roles):
    file = Pipeline(Path("x.yaml"), "x", finetune=validate(finetune.Config, TRAINING))

    needs = export.needs(validate(export.Config, {"formats": ["onnx"], **settings}), file)

    assert [role for role in needs if role.startswith("data")] == roles
