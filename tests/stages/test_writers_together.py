"""Two tasks that write train one encoder-decoder: their prompts tell them apart, and each leaves a whole checkpoint."""

import json
import random

import pytest
import torch
from bmtool import load
from bmtool.config.model import validate
from bmtool.stages import evaluate, finetune, prepare
from safetensors.torch import load_file

GERMAN = {"one": "eins", "two": "zwei", "three": "drei", "four": "vier", "five": "acht", "six": "neun"}
FRENCH = {"one": "un", "two": "deux", "three": "trois", "four": "quatre", "five": "cinq", "six": "onze"}


@pytest.fixture(scope="module")
def made(job_at, tmp_path_factory):
    """Prepare rows: `made(name, rows, settings)` is a dataset."""

    def make(name, rows, settings):
        folder = tmp_path_factory.mktemp(name)
        (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        work = job_at(folder / "dataset", {})
        config = validate(prepare.Config, {"sources": str(folder / "rows.jsonl"), **settings})
        return work.as_artifact("dataset", prepare.run(config, work.job))

    return make


@pytest.fixture(scope="module")
def counting(made):
    """Both tasks, and a corpus with a tokenizer for all three languages."""

    def pairs(words, seed):
        rng = random.Random(seed)
        some = rng.choices(list(words), k=240)
        return [{"number": n, "source": one, "target": words[one]} for n, one in enumerate(some)]

    both = {"german": pairs(GERMAN, 1), "french": pairs(FRENCH, 2)}
    split = {"split": {"validation": 0.1, "test": 0.1, "group": "number"}}
    task = {"type": "translation", "num_beams": 1}
    tasks = {
        name: made(name, rows, split | {"task": task | {"prompt": f"{name}: {{source}}"}})
        for name, rows in both.items()
    }
    texts = [{"text": f"{row['source']} {row['target']} german: french: "} for rows in both.values() for row in rows]
    return tasks, made("words", texts, {"tokenizer": {"type": "bpe", "vocab_size": 320}})


@pytest.fixture
def trained(counting, job_at, tmp_path):
    """Fine-tune on both: `trained("t5", learning_rate=3e-3)` is (checkpoint, its validation metrics)."""
    tasks, corpus = counting

    def train(architecture, **changes):
        settings = {
            "data": list(tasks), "model": {"architecture": architecture, "hidden_size": 32, "dropout": 0.0},
            "num_train_epochs": 8, "per_device_batch_tokens": 256, "max_seq_length": 32, "precision": "fp32",
            "tokenizer": "words",
        }  # fmt: skip
        inputs = {f"data:{name}": data for name, data in tasks.items()} | {"tokenizer": corpus}
        work = job_at(tmp_path / "finetune-1", inputs)
        summary = finetune.run(validate(finetune.Config, settings | changes), work.job)
        return work.as_artifact("checkpoint", summary), summary["validation"]

    return train


def test_one_encoder_decoder_learns_both_by_their_prompts(trained, counting, job_at, tmp_path):
    tasks, _ = counting

    tuned, _ = trained("t5", learning_rate=3e-3)
    judged = job_at(tmp_path / "evaluate-1", {f"data:{name}": data for name, data in tasks.items()} | {"from": tuned})
    found = evaluate.run(validate(evaluate.Config, {"baselines": ["copy_source"]}), judged.job)["datasets"]

    assert load(tuned.folder, task="german")(["six"]) == [{"target": "neun"}]
    assert load(tuned.folder / "french")(["six"]) == [{"target": "onze"}]
    for name in tasks:
        assert found[name]["metrics"]["chrf"]["value"] > 90
        assert found[name]["baselines"]["copy_source"]["chrf"]["value"] < 50


def test_what_both_have_learned_is_in_each_checkpoint(trained):
    tuned, validation = trained("bart", learning_rate=1e-2, num_train_epochs=4)

    german, french = (load_file(tuned.folder / name / "model.safetensors") for name in ("german", "french"))

    assert german.keys() == french.keys()
    assert all(torch.equal(german[name], french[name]) for name in german)
    assert max(validation["german.loss"], validation["french.loss"]) < 4  # of new weights 5.8, ln 320
