"""A teacher: a BERT of two layers that was fine-tuned to tell good reviews from bad ones; and other small datasets."""

import json

import pytest
from bmtool.config.model import validate
from bmtool.stages import finetune, prepare

SETTINGS = {
    "data": "stars",
    "num_train_epochs": 8,
    "learning_rate": 5e-3,
    "per_device_batch_tokens": 128,
    "max_seq_length": 32,
    "precision": "fp32",
}


@pytest.fixture(scope="session")
def finetuned():
    """Fine-tune settings: `finetuned(method=..., num_train_epochs=1)`."""

    def settings_with(**changes):
        given = {key: value for key, value in (SETTINGS | changes).items() if value is not None}
        return validate(finetune.Config, given)

    return settings_with


@pytest.fixture(scope="session")
def teacher(job_at, finetuned, reviews, pretrained, tmp_path_factory):
    work = job_at(tmp_path_factory.mktemp("teacher") / "finetune-1", {"data": reviews, "from": pretrained})
    return work.as_artifact("checkpoint", finetune.run(finetuned(), work.job))


@pytest.fixture(scope="session")
def labelled(job_at, tmp_path_factory):
    """Prepare rows for a task: `labelled(task, rows)` is a dataset."""

    def make(task, rows):
        folder = tmp_path_factory.mktemp("labelled")
        (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        settings = {"task": task, "sources": str(folder / "rows.jsonl"), "split": {"validation": 0.2, "test": 0.2}}
        config = validate(prepare.Config, settings)
        work = job_at(folder / "dataset", {})
        return work.as_artifact("dataset", prepare.run(config, work.job))

    return make
