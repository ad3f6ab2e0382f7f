"""Teachers answer texts without labels, once; the surest answers are learned beside the labels, and all are counted."""

import dataclasses
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
import torch
from bmtool.config.model import validate
from bmtool.config.references import Reference
from bmtool.errors import ConfigError, DataError, TryAgainError
from bmtool.methods.semi_supervised import SemiSupervised
from bmtool.methods.supervised import Supervised
from bmtool.models.files.checkpoint import open_model
from bmtool.stages import finetune
from bmtool.tasks.text_classification import TextClassification
from bmtool.tasks.token_classification import TokenClassification
from bmtool.train.jobs.finetuning import open_lesson
from bmtool.train.jobs.self_training import mean_answers
from safetensors.torch import load_file, save_file

sys.path.insert(0, str(Path(__file__).parent.parent))
from stopping import StopsAfter

METHOD = {"type": "semi_supervised", "share": 0.5}
SHORT = {"method": METHOD, "num_train_epochs": 2}


@pytest.fixture
def inputs(reviews, pretrained, teacher, corpus):
    return {"data": reviews, "from": pretrained, "unlabelled": corpus, "teacher:0": teacher}


@pytest.fixture
def learned(make_job, inputs, finetuned):
    """The phase of a section, and the lesson that it was made of: `learned(**METHOD)`."""

    def make(**changes):
        job, config = make_job(inputs=inputs), finetuned(method=METHOD | changes)
        lesson = open_lesson(config, job)
        model = open_model(inputs["teacher:0"].folder, TextClassification.auto_class)
        [phase] = config.method.phases(lesson.phase(), model, job)
        return phase, lesson, model, job

    return make


def pipeline(**changes):
    known = {"stars": None, "texts": None}
    pretrain = SimpleNamespace(data=Reference(form="name", value="texts"))
    return SimpleNamespace(**{"file": "a.yaml", "prepare": known, "pretrain": pretrain} | changes)


def test_texts_without_labels_are_learned_from_and_counted(make_job, inputs, finetuned):
    job = make_job(inputs=inputs)

    summary = finetune.run(finetuned(method=METHOD), job)

    counts = summary["unlabelled"]
    assert summary["validation"]["accuracy"] > 0.9
    assert counts["texts"] == counts["answered"] + sum(counts["dropped"].values())
    assert counts["learned"] == sum(counts["learned_by_label"].values()) > 20
    assert set(counts["learned_by_label"]) == {"bad", "good"}
    assert summary["tokens"] > 1.8 * 8 * summary["tokens_per_epoch"]  # as many tokens of texts as of rows
    assert any(f"{counts['learned']} are learned from" in line for line in job.console.lines)


def test_what_is_cut_of_the_texts_is_counted(make_job, inputs, finetuned):
    job = make_job(inputs=inputs)

    summary = finetune.run(finetuned(**SHORT, max_seq_length=8), job)

    cut = summary["unlabelled"]["cut"]
    assert 0 < cut["texts_cut"] <= summary["unlabelled"]["learned"]
    assert f"unlabelled: {cut['texts_cut']:,} texts cut, {cut['tokens_cut']:,} tokens cut at max_seq_length 8" in (
        job.console.lines
    )


def test_where_there_is_a_label_the_loss_is_the_tasks_own(learned):
    phase, lesson, model, _ = learned(noise=0.9)
    rows = np.arange(len(lesson.parts["train"]))
    batch = phase.goal.collate(phase.train, rows, np.random.default_rng(0))
    plain = lesson.task.collate(lesson.parts["train"], rows, np.random.default_rng(0))

    with torch.no_grad():
        ours = phase.goal.losses(model.eval(), batch)["self_training"]
        theirs = lesson.task.losses(model, plain)["cross_entropy"]

    assert torch.equal(batch.input_ids, plain.input_ids)  # noise is for texts without labels
    assert batch.counts == {"self_training": len(rows)}
    assert float(ours) == pytest.approx(float(theirs), rel=1e-5)


def test_elsewhere_it_is_the_distance_to_what_the_teacher_said_of_the_whole_text(learned):
    losses = []
    for noise in (0.0, 0.5):
        phase, lesson, model, _ = learned(noise=noise)
        rows = np.arange(len(lesson.parts["train"]), len(phase.train))
        batch = phase.goal.collate(phase.train, rows, np.random.default_rng(0))
        with torch.no_grad():
            losses.append(float(phase.goal.losses(model.eval(), batch)["self_training"]) / len(rows))

    assert losses[0] == pytest.approx(0, abs=1e-5)  # the model is the teacher
    assert losses[1] > 0.01


def test_several_teachers_are_asked_and_the_mean_of_their_answers_is_taken(make_job, teacher, tmp_path):
    unsure, job = tmp_path / "unsure", make_job()
    shutil.copytree(teacher.folder, unsure)
    weights = load_file(unsure / "model.safetensors")
    weights |= {name: torch.zeros_like(value) for name, value in weights.items() if name.startswith("classifier")}
    save_file(weights, unsure / "model.safetensors", {"format": "pt"})
    texts = pa.table({"text": ["a lovely film", "it was dull"]})

    both = mean_answers([teacher.folder, unsure], TextClassification(), texts, job)
    alone = mean_answers([teacher.folder], TextClassification(), texts, job)

    assert alone.max() > 0.8
    assert np.allclose(both, (alone + 0.5) / 2, atol=1e-6)


def test_a_cut_changes_nothing(make_job, inputs, finetuned, tmp_path):
    whole, job = make_job(tmp_path / "whole", inputs), make_job(tmp_path / "cut", inputs)
    expected = finetune.run(finetuned(**SHORT), whole)

    with pytest.raises(TryAgainError):
        finetune.run(finetuned(**SHORT), dataclasses.replace(job, stop=StopsAfter(6)))
    found = finetune.run(finetuned(**SHORT), job)

    ours, theirs = (load_file(one.folder / "model.safetensors") for one in (job, whole))
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    assert found["unlabelled"] == expected["unlabelled"]
    assert any(line.startswith("resumed from step") for line in job.console.lines)


def test_teachers_are_this_section_supervised_with_seeds_that_no_other_training_has(finetuned):
    section = finetuned(method={**METHOD, "teachers": 2}, seed=3)

    needs = section.method.needs(pipeline(), section)

    made = {role: need.made[1] for role, need in needs.items() if need.made}
    assert str(needs["unlabelled"].reference) == "texts"  # the corpus of pretrain, unless another is named
    assert {role: one.seed for role, one in made.items()} == {"teacher:3": 3, "teacher:1003": 1003}
    assert all(one.method == Supervised() for one in made.values())
    assert made["teacher:3"] == finetuned(seed=3)


def test_without_any_texts_it_is_said_how_to_name_them(finetuned):
    section = finetuned(method=METHOD)

    with pytest.raises(ConfigError) as error:
        section.method.needs(pipeline(pretrain=None), section)

    assert str(error.value) == (
        "a.yaml: finetune.method: semi_supervised reads texts without labels, and there is no pretrain section whose "
        "corpus it could take. Name one: {type: semi_supervised, unlabelled: NAME}"
    )


def test_a_dataset_that_is_not_there_is_named(finetuned):
    section = finetuned(method={**METHOD, "unlabelled": "text"})

    with pytest.raises(ConfigError) as error:
        section.method.needs(pipeline(), section)

    assert str(error.value) == (
        "a.yaml: finetune.method: there is no dataset 'text' under 'prepare'. Did you mean 'texts'? "
        "A path needs a slash: './text'"
    )


def test_where_no_text_is_left_that_is_an_error(make_job, inputs, finetuned, reviews):
    job = make_job(inputs=inputs | {"unlabelled": reviews})  # its texts are all among the labelled rows

    with pytest.raises(DataError) as error:
        finetune.run(finetuned(**SHORT), job)

    assert str(error.value).startswith(f"{reviews.folder}: no text is left to learn from: of ")


def test_tasks_whose_labels_cannot_be_balanced_are_refused():
    method = validate(SemiSupervised, {})

    assert method.unfit(TokenClassification()) == (
        "needs a task with one label a text, and token_classification has none, or several"
    )
    assert "text_classification has none, or several" in method.unfit(TextClassification(multi_label=True))
    assert method.unfit(TextClassification(pair=True)) == "reads single texts, and this task has pairs of them"
    assert not method.unfit(TextClassification())
