"""The head learns from features that were computed once; the encoder stays what it is; a plain checkpoint is left."""

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from bmtool.config.model import ValidationError
from bmtool.data.dataset import open_dataset
from bmtool.errors import TryAgainError
from bmtool.methods.frozen import Frozen
from bmtool.models.files.checkpoint import head_parameters, open_model
from bmtool.stages import finetune
from bmtool.tasks.text_classification import TextClassification
from bmtool.tasks.token_classification import TokenClassification
from bmtool.train.inference.apply import run_checkpoint
from bmtool.train.jobs.finetuning import open_lesson
from safetensors.torch import load_file

sys.path.insert(0, str(Path(__file__).parent.parent))
from stopping import StopsAfter

FAST = {"method": "frozen", "num_train_epochs": 20, "learning_rate": 2e-2}


def test_the_head_learns_and_the_encoder_stays_as_it_is(make_job, reviews, teacher, finetuned):
    job = make_job(inputs={"data": reviews, "from": teacher})

    summary = finetune.run(finetuned(**FAST), job)

    start, end = (load_file(folder / "model.safetensors") for folder in (teacher.folder, job.folder))
    head = head_parameters(open_model(job.folder, TextClassification.auto_class))
    moved = {name for name in start if not torch.equal(start[name], end[name])}
    assert moved == head
    assert summary["validation"]["accuracy"] > 0.9
    assert any("weights of the head are trained" in line for line in job.console.lines)


def test_what_was_learned_from_and_what_the_encoder_read_are_both_counted(make_job, reviews, teacher, finetuned):
    job = make_job(inputs={"data": reviews, "from": teacher})

    summary = finetune.run(finetuned(**FAST), job)

    lesson = open_lesson(finetuned(**FAST), job)
    assert summary["tokens"] == 20 * summary["tokens_per_epoch"]  # as a budget in tokens counts them
    assert summary["tokens_per_second"] > 0
    assert summary["encoded"]["texts"] == sum(map(len, lesson.parts.values()))
    assert summary["encoded"]["tokens"] == sum(int(part.packed_lengths.sum()) for part in lesson.parts.values())
    log = [json.loads(line) for line in (job.folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["tokens"] for line in log if line["kind"] == "train"][-1] == summary["tokens"]


def test_a_budget_in_tokens_ends_where_the_counted_tokens_do(make_job, reviews, teacher, finetuned):
    job = make_job(inputs={"data": reviews, "from": teacher})

    summary = finetune.run(finetuned(**FAST | {"num_train_epochs": None, "max_tokens": 3000}), job)

    assert 3000 <= summary["tokens"] < 3000 + 128


def test_what_was_measured_on_features_holds_for_the_saved_checkpoint(make_job, reviews, pretrained, finetuned):
    job = make_job(inputs={"data": reviews, "from": pretrained})

    summary = finetune.run(finetuned(**FAST), job)

    outputs = run_checkpoint(job.folder, TextClassification(), open_dataset(reviews.folder)["validation"], job).outputs
    assert np.mean(outputs["nll"]) == pytest.approx(summary["validation"]["loss"], abs=1e-5)
    assert np.mean(outputs["predictions"] == outputs["references"]) == summary["validation"]["accuracy"]


def test_features_are_computed_without_dropout_and_once(make_job, reviews, pretrained, finetuned):
    job, config = make_job(inputs={"data": reviews, "from": pretrained}), finetuned(**FAST)
    lesson = open_lesson(config, job)
    model = open_model(pretrained.folder, TextClassification.auto_class, lesson.dataset.labels).train()

    first, second = (config.method.phases(lesson.phase(), model, job)[0] for _ in range(2))

    assert first.train.columns["features"].shape == (len(lesson.parts["train"]), 32)
    assert np.array_equal(first.train.columns["features"], second.train.columns["features"])
    batch = first.goal.collate(first.train, np.arange(3), np.random.default_rng(0))
    assert batch.num_tokens == 0
    assert batch.targets["labels"].tolist() == lesson.parts["train"].columns["references"][:3].tolist()


def test_a_cut_changes_nothing(make_job, reviews, pretrained, finetuned, tmp_path):
    config, inputs = finetuned(**FAST, early_stopping_patience=15), {"data": reviews, "from": pretrained}
    whole, job = make_job(tmp_path / "whole", inputs), make_job(tmp_path / "cut", inputs)
    expected = finetune.run(config, whole)

    with pytest.raises(TryAgainError):
        finetune.run(config, dataclasses.replace(job, stop=StopsAfter(40)))
    found = finetune.run(config, job)

    ours, theirs = (load_file(one.folder / "model.safetensors") for one in (job, whole))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert found["best"] == expected["best"]


@pytest.mark.parametrize(
    ("task", "column", "values"),
    [
        ({"type": "text_classification", "multi_label": True}, "labels", [["film", "good"], ["film"], ["bad"]]),
        ({"type": "text_classification", "pair": True}, "label", ["good", "fair", "bad"]),
        ("text_regression", "score", [4.5, 3.0, 1.0]),
    ],
)
def test_sets_pairs_and_numbers_are_learned_from_features(make_job, labelled, teacher, finetuned, task, column, values):
    texts = ("we saw a lovely film", "we saw a film", "it was awful")
    rows = [{"text": f"{texts[i % 3]} {i}", "text_pair": texts[i % 3], column: values[i % 3]} for i in range(30)]
    data = labelled(task, rows)
    job = make_job(inputs={"data": data, "from": teacher})

    finetune.run(finetuned(**FAST), job)

    log = [json.loads(line) for line in (job.folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
    losses = [line["loss"] for line in log if line["kind"] == "train"]
    assert np.mean(losses[-5:]) < losses[0] / 2


def test_a_task_without_one_answer_a_text_is_refused():
    assert Frozen().unfit(TokenClassification()) == (
        "needs a task with one answer a text, and token_classification is none"
    )
    assert not Frozen().unfit(TextClassification(pair=True))


@pytest.mark.parametrize("setting", [{"frozen_layers": 1}, {"layerwise_lr_decay": 0.9}])
def test_settings_of_what_is_not_trained_are_refused(finetuned, setting):
    with pytest.raises(ValidationError) as error:
        finetuned(method="frozen", **setting)

    assert "has no effect with method frozen" in str(error.value)


def test_the_second_seed_of_a_frozen_encoder_reads_no_text(make_job, tmp_path, reviews, pretrained, finetuned):
    lines = []
    for seed in (0, 1):
        job = make_job(tmp_path / f"seed-{seed}", inputs={"data": reviews, "from": pretrained}, seed=seed)
        job = dataclasses.replace(job, cache=tmp_path / ".cache")
        finetune.run(finetuned(method="frozen", num_train_epochs=2, learning_rate=1e-2, seed=seed), job)
        lines.append([line for line in job.console.lines if "were read before" in line])

    assert not lines[0]
    assert [line.partition(":")[0] for line in lines[1]] == ["encoding train", "encoding validation"]
