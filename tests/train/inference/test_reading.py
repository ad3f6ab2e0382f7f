"""What a model reads of texts is kept by all that decides it, found again by other seeds, and never trusted damaged."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from bmtool.artifacts.store import Store
from bmtool.commands.clean import clean
from bmtool.config.model import validate
from bmtool.models.files.checkpoint import open_model
from bmtool.stages import finetune
from bmtool.tasks.text_classification import TextClassification
from bmtool.train.inference.features import head_inputs
from bmtool.train.jobs.finetuning import open_lesson


@pytest.fixture
def reading(make_job, tmp_path, reviews, pretrained):
    """`reading.read(seed)`: what a model with a head of this seed makes of the texts, and how many batches it read."""
    job = make_job(inputs={"data": reviews, "from": pretrained})
    job = dataclasses.replace(job, cache=Store(tmp_path / "runs").cache)
    lesson = open_lesson(validate(finetune.Config, {"data": "stars", "max_seq_length": 32, "max_steps": 1}), job)

    def read(seed=0, change=lambda model: None, **differing):
        model = open_model(pretrained.folder, TextClassification.auto_class, lesson.dataset.labels, seed=0)
        with torch.no_grad():
            model.classifier.weight.add_(seed)
            change(model)
        batches = []
        model.get_input_embeddings().register_forward_hook(lambda *_: batches.append(1))
        given = dataclasses.replace(job, **differing)
        examples = head_inputs(model, TextClassification(), lesson.parts["train"], given, "train")
        return examples.columns["features"], len(batches)

    return SimpleNamespace(read=read, cache=job.cache, runs=tmp_path / "runs")


def test_what_was_read_before_is_read_no_more_whatever_the_head_is(reading):
    first, batches = reading.read(seed=0)
    again, batches_again = reading.read(seed=1)

    assert batches > 0
    assert batches_again == 0
    assert np.array_equal(first, again)


def test_other_weights_read_anew(reading):
    first, _ = reading.read()

    def change(model):
        model.bert.embeddings.word_embeddings.weight[7, 0] += 1

    other, batches = reading.read(change=change)

    assert batches > 0
    assert not np.array_equal(first, other)


def test_force_reads_anew_and_so_does_a_job_without_a_cache(reading):
    first, batches = reading.read()

    for differing in ({"is_fresh": True}, {"cache": None}):
        again, batches_again = reading.read(**differing)
        assert batches_again == batches
        assert np.array_equal(first, again)


def test_a_damaged_file_is_read_anew_and_mended(reading):
    first, batches = reading.read()
    [path] = reading.cache.rglob("read.npy")
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)

    again, batches_again = reading.read()

    assert batches_again == batches
    assert np.array_equal(first, again)
    assert reading.read()[1] == 0


def test_clean_takes_what_was_read(reading, make_job):
    _, batches = reading.read()

    clean(reading.runs, keep=0, dry_run=False, as_json=False, console=make_job().console)

    assert not list(reading.cache.rglob("read.npy"))
    assert reading.read()[1] == batches
