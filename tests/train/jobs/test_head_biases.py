"""A new head for several labels begins at their shares of the training rows; one that goes on is left as it is."""

import json
import random
import sys
from pathlib import Path

import numpy as np
import pytest
from bmtool.config.model import validate
from bmtool.data.dataset import open_dataset
from bmtool.models.files.checkpoint import open_model
from bmtool.stages import finetune

sys.path.insert(0, str(Path(__file__).parent.parent.parent))
from conftest import as_artifact, prepare

KINDS = [f"kind{number}" for number in range(40)]
MODEL = {"architecture": "bert", "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}


def settings(**more):
    given = {"data": "icons", "max_seq_length": 32, "num_train_epochs": 1, "precision": "fp32", **more}
    return validate(finetune.Config, given)


@pytest.fixture(scope="module")
def icons(tmp_path_factory):
    """Rows with one label of forty or none, which is one of their words; and the same texts as a corpus."""
    folder = tmp_path_factory.mktemp("icons")
    rng = random.Random(0)
    words = [f"word{number}" for number in range(60)]
    with (folder / "icons.jsonl").open("w", encoding="utf-8") as handle:
        for number in range(1500):
            labels = rng.sample(KINDS, k=number % 3 > 0)
            text = [*labels, *rng.choices(words, k=3)]
            rng.shuffle(text)
            handle.write(json.dumps({"text": " ".join(text), "labels": labels}) + "\n")
    sources, split = str(folder / "icons.jsonl"), {"validation": 0.2}
    task = {"type": "text_classification", "multi_label": True}
    vocabulary = {"type": "wordpiece", "vocab_size": 300}
    corpus = prepare(folder / "corpus", {"sources": sources, "split": split, "tokenizer": vocabulary})
    return corpus, prepare(folder / "rows", {"task": task, "sources": sources, "split": split})


def biases(folder):
    return open_model(folder, "AutoModelForSequenceClassification").classifier.bias.detach().numpy()


def test_a_new_head_begins_at_the_shares_of_the_labels(make_job, icons):
    corpus, rows = icons
    job = make_job(inputs={"data": rows, "tokenizer": corpus})

    finetune.run(settings(model=MODEL, learning_rate=1e-9), job)

    train = open_dataset(rows.folder)["train"].column("labels").to_pylist()
    shares = [(sum(label in labels for labels in train) + 0.5) / (len(train) + 1) for label in range(40)]
    assert biases(job.folder) == pytest.approx([np.log(share / (1 - share)) for share in shares], abs=1e-4)


def test_a_head_that_goes_on_keeps_its_biases(make_job, icons, tmp_path):
    corpus, rows = icons
    first = make_job(tmp_path / "first", inputs={"data": rows, "tokenizer": corpus})
    finetune.run(settings(model=MODEL, learning_rate=1e-2), first)
    again = make_job(tmp_path / "again", inputs={"data": rows, "from": as_artifact(first.folder, "checkpoint")})

    finetune.run(settings(learning_rate=1e-9), again)

    assert biases(again.folder) == pytest.approx(biases(first.folder), abs=1e-4)


def test_rare_labels_are_learned_instead_of_none(make_job, icons):
    corpus, rows = icons
    job = make_job(inputs={"data": rows, "tokenizer": corpus})

    summary = finetune.run(settings(model=MODEL, num_train_epochs=20, learning_rate=5e-3), job)

    assert summary["validation"]["f1_micro"] > 0.5
