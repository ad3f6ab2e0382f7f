"""An evaluation measures what lies on the disk, beside baselines; its bytes depend on its inputs alone."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from bmtool.config.model import ValidationError, validate, what
from bmtool.config.references import Reference
from bmtool.data.dataset import open_dataset
from bmtool.errors import ConfigError, DataError, MissingInputError
from bmtool.registry import TASKS
from bmtool.runner.pipeline import Pipeline
from bmtool.stages import evaluate, finetune
from datasets import load_from_disk
from sklearn.metrics import accuracy_score, confusion_matrix, recall_score

sys.path.insert(0, str(Path(__file__).parents[1]))
from conftest import prepare, review_rows

FILES = ["labels.json", "metrics.json", "report.html", "summary.md"]
TRAINING = {
    "data": "stars",
    "num_train_epochs": 8,
    "learning_rate": 5e-3,
    "per_device_batch_tokens": 128,
    "max_seq_length": 32,
    "precision": "fp32",
}


def config(**settings):
    return validate(evaluate.Config, settings)


@pytest.fixture(scope="module")
def tuned(reviews, pretrained, job_at, tmp_path_factory):
    job = job_at(tmp_path_factory.mktemp("tuned") / "finetune-1", {"data": reviews, "from": pretrained})
    return job.as_artifact("checkpoint", finetune.run(validate(finetune.Config, TRAINING), job.job))


@pytest.fixture(scope="module")
def evaluated(reviews, tuned, job_at, tmp_path_factory):
    made = job_at(tmp_path_factory.mktemp("evaluated"), {"from": tuned, "data:stars": reviews})
    settings = config(baselines=["majority", "tfidf"], gates=[{"metric": "accuracy", "min": 0.5}])
    return made.job, evaluate.run(settings, made.job)


def read(job, name="metrics.json"):
    return json.loads((job.folder / name).read_text(encoding="utf-8"))


def test_metrics_json_has_every_number_with_its_interval_and_n(evaluated):
    job, summary = evaluated

    metrics = read(job)

    result = metrics["datasets"]["stars"]
    assert (result["split"], result["n"]) == ("test", open_rows(job))
    assert set(result["metrics"]) == set(TASKS.load("text_classification")().metrics)
    assert all(set(score) == {"value", "low", "high", "n"} for score in result["metrics"].values())
    assert all(score["low"] <= score["value"] <= score["high"] for score in result["metrics"].values())
    assert set(result["baselines"]) == {"majority", "tfidf"}
    assert "loss" not in result["baselines"]["majority"]
    assert set(result["baselines"]["tfidf"]["accuracy"]) == {"value", "low", "high", "n", "difference"}
    assert metrics["datasets"] == summary["datasets"]


def open_rows(job):
    return open_dataset(job.inputs["data:stars"].folder)["test"].num_rows


def test_numbers_follow_from_the_predictions(evaluated):
    job, _ = evaluated
    rows = load_from_disk(str(job.folder / "predictions"))
    accuracy = read(job)["datasets"]["stars"]["metrics"]["accuracy"]["value"]
    labels = read(job, "labels.json")["stars"]

    assert rows.column_names == ["id", "reference", "prediction", "scores"]
    assert accuracy == accuracy_score(rows["reference"], rows["prediction"]) > 0.9
    np.testing.assert_array_equal(labels["confusion"], confusion_matrix(rows["reference"], rows["prediction"]))
    recalls = [labels["labels"][name]["recall"]["value"] for name in ("bad", "good")]
    np.testing.assert_allclose(recalls, recall_score(rows["reference"], rows["prediction"], average=None))
    np.testing.assert_allclose(np.asarray(rows["scores"]).sum(axis=1), 1, atol=1e-6)
    assert rows["id"] == open_dataset(job.inputs["data:stars"].folder)["test"].column("id").to_pylist()


def test_equal_inputs_give_equal_bytes(evaluated, make_job):
    job, _ = evaluated
    again = make_job(inputs=dict(job.inputs))

    evaluate.run(config(baselines=["majority", "tfidf"], gates=[{"metric": "accuracy", "min": 0.5}]), again)

    for name in [*FILES, "predictions/data-00000-of-00001.arrow"]:
        assert (again.folder / name).read_bytes() == (job.folder / name).read_bytes(), name


def test_the_report_and_the_summary_show_model_baselines_labels_and_gates(evaluated):
    job, summary = evaluated
    page = (job.folder / "report.html").read_text(encoding="utf-8")
    text = (job.folder / "summary.md").read_text(encoding="utf-8")

    for word in ("majority", "tfidf", "gate passed: accuracy", "better than majority: accuracy"):
        assert word in page
        assert word in text
    assert page.count("<svg") == 3  # model beside baselines, confusion matrix, loss curves
    assert "://" not in page.replace("http://www.w3.org", "")
    assert any(line.startswith("better than majority: accuracy") for line in evaluate.describe(summary))


def test_a_model_that_loses_to_a_baseline_says_so(make_job, reviews, pretrained, job_at, tmp_path):
    made = job_at(tmp_path / "untrained", {"data": reviews, "from": pretrained})
    barely = {**TRAINING, "num_train_epochs": None, "max_steps": 1, "learning_rate": 1e-9}
    del barely["num_train_epochs"]
    checkpoint = made.as_artifact("checkpoint", finetune.run(validate(finetune.Config, barely), made.job))
    job = make_job(inputs={"from": checkpoint, "data:stars": reviews})

    summary = evaluate.run(config(baselines=["tfidf"]), job)

    [sentence] = summary["comparisons"]
    assert sentence.startswith("the model LOSES to tfidf: accuracy 0.")
    assert "LOSES to tfidf" in (job.folder / "report.html").read_text(encoding="utf-8")


def test_gates_are_judged_from_recorded_numbers(evaluated):
    _, summary = evaluated

    passed, failed = (evaluate.gates(config(gates=[{"metric": "accuracy", "min": m}]), summary)[0] for m in (0.5, 1.01))

    assert passed.passed
    assert not failed.passed
    assert failed.message.endswith("is below 1.01")


def test_gates_and_references_are_no_part_of_what_is_made():
    assert what(config(gates=[{"metric": "accuracy", "min": 0.5}], data="stars")) == what(config())
    assert what(config(baselines=["majority"])) != what(config())


def test_labels_are_mapped_by_name(make_job, tuned, reviews, tmp_path):
    """The same rows with label ids the other way round give the same numbers."""
    import shutil

    import pyarrow as pa

    folder = tmp_path / "turned"
    shutil.copytree(reviews.folder, folder)
    for split in ("train", "validation", "test"):
        info = json.loads((folder / split / "dataset_info.json").read_text(encoding="utf-8"))
        info["features"]["label"]["names"] = ["good", "bad"]
        (folder / split / "dataset_info.json").write_text(json.dumps(info), encoding="utf-8")
        [shard] = (folder / split).glob("*.arrow")
        table = pa.ipc.open_stream(shard.read_bytes()).read_all()
        turned = table.set_column(
            table.schema.get_field_index("label"), "label", pa.array([1 - x for x in table["label"].to_pylist()])
        )
        with pa.OSFile(str(shard), "wb") as sink, pa.ipc.new_stream(sink, turned.schema) as writer:
            writer.write_table(turned)
    straight = make_job(tmp_path / "a", {"from": tuned, "data:stars": reviews})
    mapped = make_job(tmp_path / "b", {"from": tuned, "data:stars": (folder, "dataset")})

    for job in (straight, mapped):
        evaluate.run(config(baselines=["majority", "tfidf"]), job)

    assert read(straight)["datasets"] == read(mapped)["datasets"]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Rows whose first texts are all the same."""
    folder = tmp_path_factory.mktemp("pairs")
    rows = [{"text": "we saw it", "text_pair": text, "label": label} for text, label in review_rows(40)]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    task = {"type": "text_classification", "pair": True}
    return prepare(folder / "pairs", {"task": task, "sources": str(folder / "rows.jsonl"), "split": {"test": 0.5}})


def test_a_checkpoint_is_not_asked_about_rows_with_other_columns_than_it_was_trained_on(make_job, tuned, pairs):
    with pytest.raises(MissingInputError) as error:
        evaluate.run(config(), make_job(inputs={"from": tuned, "data:pairs": pairs}))

    assert str(error.value) == (
        f"{tuned.folder}: the checkpoint was trained for text_classification of text, label, and {pairs.folder} is for "
        f"text_classification of text, text_pair, label"
    )


def test_a_foreign_classifier_reads_both_texts_of_a_dataset_of_pairs(make_job, tuned, pairs, tmp_path):
    import shutil

    shutil.copytree(tuned.folder, tmp_path / "foreign")
    (tmp_path / "foreign" / "bmtool.json").unlink()
    job = make_job(inputs={"from": (tmp_path / "foreign", "checkpoint"), "data:pairs": pairs})

    evaluate.run(config(), job)

    scores = np.asarray(load_from_disk(str(job.folder / "predictions"))["scores"])
    assert len(np.unique(scores.round(4), axis=0)) > 1


def test_words_are_evaluated_by_spans(make_job, tagged, corpus, job_at, tmp_path):
    bert = {"architecture": "bert", "hidden_size": 32, "num_attention_heads": 2}
    made = job_at(tmp_path / "finetune-2", {"data": tagged, "tokenizer": corpus})
    settings = {**TRAINING, "model": bert, "num_train_epochs": 15, "per_device_batch_tokens": 64}
    checkpoint = made.as_artifact("checkpoint", finetune.run(validate(finetune.Config, settings), made.job))
    job = make_job(inputs={"from": checkpoint, "data:names": tagged})

    evaluate.run(config(baselines=["majority"]), job)

    result = read(job)["datasets"]["names"]
    rows = load_from_disk(str(job.folder / "predictions"))
    assert result["metrics"]["f1_span"]["value"] > 0.9
    assert result["baselines"]["majority"]["f1_span"]["value"] == 0
    assert [len(row) for row in rows["reference"]] == [len(row) for row in rows["prediction"]]
    assert set(rows["reference"][0]) <= {"B-PER", "I-PER", "O"}


def test_a_pretrained_checkpoint_is_measured_by_its_objective_on_the_corpus(make_job, corpus, pretrained):
    job = make_job(inputs={"from": pretrained, "data:corpus": corpus})

    summary = evaluate.run(config(), job)

    result = read(job)["datasets"]["corpus"]
    assert result["split"] == "validation"
    assert result["n"] == open_dataset(corpus.folder)["validation"].num_rows
    loss, perplexity = (result["metrics"][name]["value"] for name in ("loss", "perplexity"))
    assert perplexity == pytest.approx(np.exp(loss))
    assert abs(loss - np.log(200)) < 1  # new weights know nothing about 200 tokens
    assert not (job.folder / "labels.json").exists()
    assert load_from_disk(str(job.folder / "predictions")).num_rows == result["n"]
    assert evaluate.describe(summary)[0].startswith("corpus validation: loss ")


def test_from_scratch_is_trained_for_each_learning_rate_and_chosen_on_validation(
    make_job, reviews, tuned, corpus, job_at, tmp_path
):
    from bmtool.config.references import Reference

    section = validate(finetune.Config, {**TRAINING, "num_train_epochs": 6})
    bert = validate(
        finetune.Config, {**TRAINING, "model": {"architecture": "bert", "hidden_size": 32, "num_attention_heads": 2}}
    )
    pretrain = SimpleNamespace(model=bert.model, data=Reference(form="name", value="corpus"))
    file = Pipeline(Path("x.yaml"), "x", finetune=section, pretrain=pretrain)
    settings = config(baselines=[{"type": "from_scratch", "learning_rates": [1e-9, 5e-3]}])
    made = {role: need.made for role, need in evaluate.needs(settings, file).items() if need.made}
    assert list(made) == ["from_scratch:1e-09", "from_scratch:0.005"]
    inputs = {"from": tuned, "data:stars": reviews}
    for role, (stage, scratch) in made.items():
        assert stage == "finetune"
        work = job_at(tmp_path / role.replace(":", "-"), {"data": reviews, "tokenizer": corpus})
        inputs[role] = work.as_artifact("checkpoint", finetune.run(scratch, work.job))
    job = make_job(inputs=inputs)

    evaluate.run(settings, job)

    [line] = [line for line in job.console.lines if "by validation accuracy" in line]
    assert line.startswith("from_scratch: learning rate 0.005")
    assert "loss" in read(job)["datasets"]["stars"]["baselines"]["from_scratch"]


# ---------------------------------------------------------------- refusals


def test_a_checkpoint_for_another_task_is_refused(make_job, tuned, tagged):
    with pytest.raises(MissingInputError, match=r"trained for text_classification, and .* is for token_classification"):
        evaluate.run(config(), make_job(inputs={"from": tuned, "data:names": tagged}))


def test_a_pretrained_checkpoint_is_not_evaluated_on_labelled_rows(make_job, pretrained, reviews):
    with pytest.raises(MissingInputError, match="is evaluated on a corpus, and this is none"):
        evaluate.run(config(), make_job(inputs={"from": pretrained, "data:stars": reviews}))


def test_a_corpus_of_another_tokenizer_is_refused(make_job, pretrained, corpus, tmp_path):
    import shutil

    folder = tmp_path / "other"
    shutil.copytree(corpus.folder, folder)
    path = folder / "tokenizer" / "tokenizer.json"
    tokenizer = json.loads(path.read_text(encoding="utf-8"))
    tokenizer["normalizer"]["lowercase"] = not tokenizer["normalizer"]["lowercase"]  # the same vocabulary, other ids
    path.write_text(json.dumps(tokenizer), encoding="utf-8")

    with pytest.raises(MissingInputError, match="the corpus was encoded by another tokenizer"):
        evaluate.run(config(), make_job(inputs={"from": pretrained, "data:corpus": (folder, "dataset")}))


def test_a_missing_split_says_how_to_get_one(make_job, pretrained, corpus):
    with pytest.raises(MissingInputError, match="there is no test split, only train, validation"):
        evaluate.run(config(split="test"), make_job(inputs={"from": pretrained, "data:corpus": corpus}))


def test_a_metric_that_cannot_be_computed_names_what_is_missing(make_job, tuned, reviews):
    with pytest.raises(ConfigError) as error:
        evaluate.run(config(metrics=["masked_accuracy"]), make_job(inputs={"from": tuned, "data:stars": reviews}))

    assert str(error.value) == "evaluate.metrics: masked_accuracy reads hits, which this model's goal doesn't give"


# ---------------------------------------------------------------- before anything is made


def file_with(task="text_classification", **sections):
    stars = SimpleNamespace(task=task and TASKS.load(task)(), split=SimpleNamespace(validation=0.1))
    return Pipeline(Path("x.yaml"), "x", prepare={"stars": stars}, **sections)


def named(value):
    return Reference(form="name", value=value)


def test_defaults_follow_from_the_sections_of_the_file():
    tuned = file_with(finetune=validate(finetune.Config, TRAINING), pretrain=SimpleNamespace(data=named("corpus")))
    only_pretrained = file_with(pretrain=SimpleNamespace(data=named("corpus")))

    inputs = [evaluate.needs(config(), file) for file in (tuned, only_pretrained)]

    assert [{role: str(need.reference) for role, need in needs.items()} for needs in inputs] == [
        {"from": "finetune", "data:stars": "stars"},
        {"from": "pretrain", "data:corpus": "corpus"},
    ]


def test_a_dataset_by_path_goes_by_the_name_of_its_folder():
    inputs = evaluate.needs(config(data="runs/other/prepare/films"), file_with())

    assert list(inputs) == ["from", "data:films"]


def test_a_checkpoint_by_path_needs_to_be_told_its_dataset():
    with pytest.raises(ConfigError, match=r"evaluate.data: say which dataset to evaluate on"):
        evaluate.needs(config(**{"from": "./bert"}), file_with(finetune=SimpleNamespace(data=named("stars"))))


@pytest.mark.parametrize(
    ("settings", "task", "message"),
    [
        (
            {"baselines": ["tfidf"]},
            "token_classification",
            (
                "x.yaml: evaluate.baselines: tfidf reads text and gives label or labels or number, "
                "and token_classification has tags and words. "
                "Leave it out"
            ),
        ),
        ({"baselines": ["majority"]}, None, "x.yaml: evaluate.baselines: a corpus has none; they answer tasks"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_made(settings, task, message):
    with pytest.raises(ConfigError) as error:
        evaluate.needs(config(data="stars", **settings), file_with(task))

    assert str(error.value) == message


def test_the_same_baseline_twice_is_refused():
    with pytest.raises(ValidationError, match="'tfidf' is there twice; results go by this name"):
        config(baselines=["tfidf", {"type": "tfidf", "strengths": [1.0]}])


def test_a_split_without_rows_is_a_data_error(make_job, tuned, reviews, tmp_path):
    import shutil

    folder = tmp_path / "data"
    shutil.copytree(reviews.folder, folder)
    path = folder / "test" / "dataset_info.json"
    info = json.loads(path.read_text(encoding="utf-8"))
    info["splits"]["test"]["num_examples"] = 0
    path.write_text(json.dumps(info), encoding="utf-8")

    with pytest.raises(DataError, match="the test split has no rows"):
        evaluate.run(config(), make_job(inputs={"from": tuned, "data:stars": (folder, "dataset")}))


def test_several_seeds_are_measured_together_on_the_same_rows(reviews, pretrained, tuned, job_at, tmp_path):
    other = job_at(tmp_path / "finetune-2", {"data": reviews, "from": pretrained}, seed=1)
    second = other.as_artifact("checkpoint", finetune.run(validate(finetune.Config, TRAINING | {"seed": 1}), other.job))
    made = job_at(tmp_path / "evaluated", {"from": tuned, "data:stars": reviews, "seed:1": second})
    gate = {"metric": "accuracy", "min": 0.5, "seeds": "worst"}

    summary = evaluate.run(config(baselines=["majority"], gates=[gate]), made.job)

    study = read(made.job)["datasets"]["stars"]["seeds"]
    values = study["metrics"]["accuracy"]["values"]
    assert study["seeds"] == [0, 1]
    assert values[0] == summary["datasets"]["stars"]["metrics"]["accuracy"]["value"]
    alone = job_at(tmp_path / "alone", {"from": second, "data:stars": reviews})
    assert values[1] == evaluate.run(config(), alone.job)["datasets"]["stars"]["metrics"]["accuracy"]["value"]
    assert any("in the mean of 2 seeds" in line for line in evaluate.describe(summary))
    assert "mean of 2 seeds" in (made.job.folder / "summary.md").read_text(encoding="utf-8")
    [judged] = evaluate.gates(config(gates=[gate]), summary)
    assert judged.message.startswith("accuracy, the worst of 2 seeds,")


def test_the_other_seeds_of_the_finetune_section_are_needed():
    trained = validate(finetune.Config, TRAINING | {"seeds": 3, "seed": 5})
    pipeline = Pipeline(Path("x.yaml"), "x", finetune=trained)

    needs = evaluate.needs(config(data="./x"), pipeline)

    assert [role for role in needs if role.startswith("seed:")] == ["seed:6", "seed:7"]
    assert needs["seed:6"].made[1].seed == 6
    assert not [role for role in evaluate.needs(config(data="./x", **{"from": "./y"}), pipeline) if "seed" in role]


@pytest.mark.parametrize("start", ["finetune", "./y"])
def test_a_gate_on_several_seeds_needs_them_before_anything_is_made(start):
    seeds = 1 if start == "finetune" else 3
    pipeline = Pipeline(Path("x.yaml"), "x", finetune=validate(finetune.Config, TRAINING | {"seeds": seeds}))
    gate = {"metric": "accuracy", "min": 0.5, "seeds": "mean"}

    with pytest.raises(ConfigError) as error:
        evaluate.needs(config(data="./x", gates=[gate], **{"from": start}), pipeline)

    assert str(error.value) == (
        f"x.yaml: evaluate.gates: accuracy asks for the mean of several seeds, and '{start}' is one. Set "
        "finetune.seeds and evaluate what this file fine-tunes, or leave out seeds"
    )
