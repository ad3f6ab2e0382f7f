"""Adapters are all that is trained, go on bit for bit after a cut, and end up in a plain checkpoint."""

import json
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
from bmtool.config.model import ValidationError, validate
from bmtool.errors import ConfigError, TryAgainError
from bmtool.methods import lora
from bmtool.methods.lora import Lora
from bmtool.models.building.build import new_model
from bmtool.models.families.packed import document_logits
from bmtool.models.files.checkpoint import head_parameters, open_model
from bmtool.stages import finetune
from safetensors.torch import load_file

sys.path.insert(0, str(Path(__file__).parent.parent))
from packing import LABELS, PACKED, make_batch
from stopping import StopsAfter

CLASS = "AutoModelForSequenceClassification"
needs_peft = pytest.mark.skipif(find_spec("peft") is None, reason="peft isn't installed")


def logits(model, batch):
    with torch.no_grad():
        return document_logits(model.eval(), batch)


@needs_peft
@pytest.mark.parametrize("family", ["bert", "roberta", "modernbert", "distilbert", "gpt2", "qwen3"])
def test_a_merged_model_answers_as_before_and_its_base_never_moved(make_job, family):
    job, method = make_job(), Lora(rank=4)
    model, plain = (new_model(PACKED[family](), CLASS, LABELS, seed=1) for _ in range(2))
    method.shaped(model, job)
    batch = make_batch()
    unlearned = logits(model, batch)

    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    optimizer = torch.optim.AdamW(trained.values(), lr=1e-2)
    for _ in range(3):
        document_logits(model, batch).square().sum().backward()
        optimizer.step()
    unmerged = logits(model, batch)
    base = {name.replace(".base_layer", ""): p for name, p in model.named_parameters() if name not in trained}
    before = {name: base[name].clone() for name in base}
    merged = method.finished(model)

    assert torch.allclose(unlearned, logits(plain, batch), atol=1e-6)  # BERT's projections run apart
    assert not torch.allclose(unmerged, unlearned, atol=1e-2)
    assert torch.allclose(logits(merged, batch), unmerged, atol=1e-5)
    assert all(torch.equal(before[name], p) for name, p in plain.named_parameters() if name in before)
    assert merged.state_dict().keys() == plain.state_dict().keys()
    changed = {
        name for name, p in merged.named_parameters() if not torch.equal(p, dict(plain.named_parameters())[name])
    }
    assert changed >= {name for name in before if "layer" in name and name.endswith("down_proj.weight")}


@needs_peft
def test_adapters_learn_the_task_and_leave_a_plain_checkpoint(make_job, labelled, teacher, finetuned):
    words = {"up": ("lovely", "great", "superb"), "down": ("awful", "boring", "dull")}
    pairs = [(f"we saw a {word} film {i}", label) for label, each in words.items() for word in each for i in range(8)]
    data = labelled("text_classification", [{"text": text, "label": label} for text, label in pairs])
    job = make_job(inputs={"data": data, "from": teacher})

    summary = finetune.run(finetuned(method="lora"), job)

    start, end = (load_file(folder / "model.safetensors") for folder in (teacher.folder, job.folder))
    moved = {name for name in start if name.startswith("bert.e") and not torch.equal(start[name], end[name])}
    model = open_model(job.folder, CLASS)
    assert summary["validation"]["accuracy"] > 0.9
    assert len(moved) == 12  # six matrices in each of two layers
    assert all(name.startswith("bert.encoder.layer.") and name.endswith("weight") for name in moved)
    assert not any("lora" in name for name in end)
    head = sum(p.numel() for name, p in model.named_parameters() if name in head_parameters(model))
    small = 2 * 8 * (4 * (32 + 32) + 2 * (32 + 128))
    rest = sum(p.numel() for p in model.parameters()) - head
    said = f"{small + head:,} weights are trained, of adapters and head; {rest:,} stay as they are"
    assert said in job.console.lines


@needs_peft
def test_an_interrupted_run_goes_on_to_the_same_weights(make_job, reviews, pretrained, finetuned, tmp_path):
    config = finetuned(method={"type": "lora", "targets": ["query", "value"]}, num_train_epochs=1)
    inputs = {"data": reviews, "from": pretrained}
    whole, cut_off = make_job(tmp_path / "whole", inputs), make_job(tmp_path / "cut", inputs)
    finetune.run(config, whole)

    with pytest.raises(TryAgainError):
        finetune.run(config, replace(cut_off, stop=StopsAfter(4)))
    again = make_job(tmp_path / "cut", inputs)
    finetune.run(config, again)

    assert any("resumed" in line for line in again.console.lines)
    weights = [(job.folder / "model.safetensors").read_bytes() for job in (whole, again)]
    assert weights[0] == weights[1]


@needs_peft
def test_matrices_that_are_not_there_are_refused(make_job):
    model = new_model(PACKED["bert"](), CLASS, LABELS)

    with pytest.raises(ConfigError) as error:
        Lora(targets=("q_proj",)).shaped(model, make_job())

    assert str(error.value) == (
        "finetune.method.targets: the model's layers have no matrix 'q_proj'. They have dense, key, query, value"
    )


def test_without_the_package_the_way_to_install_it_is_said(monkeypatch):
    monkeypatch.setattr(lora, "find_spec", lambda name: None)

    with pytest.raises(ConfigError) as error:
        Lora().needs(None, None)

    assert error.value.exit_code == 2
    assert str(error.value) == (
        'finetune.method: lora needs the package peft, which isn\'t installed: pip install "bmtool-pipeline[lora]", '
        'or from a checkout: pip install -e ".[lora]"'
    )


def test_frozen_layers_have_no_effect_and_are_refused(finetuned):
    with pytest.raises(ValidationError) as error:
        finetuned(method="lora", frozen_layers=1)

    assert "has no effect with method lora" in str(error.value)
    assert json.dumps(validate(Lora, {}).model_dump()) == '{"type": "lora", "rank": 8, "alpha": 16.0, "targets": null}'
