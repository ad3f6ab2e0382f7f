"""What only a GPU can show: packed attention by its kernels, a training in bfloat16 that goes on, and its measures."""

import dataclasses
import re
import sys
from pathlib import Path

import pytest
import torch
from bmtool.config.model import validate
from bmtool.config.shared import Runtime
from bmtool.data.dataset import open_dataset
from bmtool.errors import TryAgainError
from bmtool.models.families.batches import pinned, to_device
from bmtool.models.families.packed import document_logits, hidden_states
from bmtool.models.kernels.compiled import CompiledLayers
from bmtool.stages import finetune, pretrain
from bmtool.tasks.text_classification import TextClassification
from bmtool.train.inference.apply import run_checkpoint
from bmtool.train.loading import Loader
from bmtool.train.watching.monitor import read_log
from bmtool.train.weights.compiling import compiled_layers

sys.path.insert(0, str(Path(__file__).parent.parent))
from packing import LABELS, LENGTHS, PACKED, assert_equal, documents, make_batch, make_pair
from stopping import StopsAfter

DEVICE = torch.device("cuda")
RAGGED = [LENGTHS, [62], [1], [300, 64, 5], [2] * 20, [30, 7, 1]]
LONG = [700, 5, 300, 64, 1, 129]
SETTINGS = {
    "data": "stars", "from": "pretrain", "max_steps": 40, "learning_rate": 5e-3, "per_device_batch_tokens": 128,
    "max_seq_length": 32, "precision": "bf16",
}  # fmt: skip

pytestmark = [
    pytest.mark.skipif(
        DEVICE.type == "cuda" and not torch.cuda.is_available(),
        reason="needs a CUDA device: kernels of its own run there",
    ),
    # What torch says to itself while it is imported and while it traces.
    pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning"),
    pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning"),
]


def on_gpu(job, **runtime):
    return dataclasses.replace(job, runtime=Runtime(device=DEVICE.type, **runtime))


def gradients_of(model, loss):
    model.zero_grad()
    loss.backward()
    return {name: p.grad.float() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("family", PACKED)
def test_in_float32_a_batch_is_what_each_document_is_alone(family):
    packed, alone = (model.to(DEVICE) for model in make_pair(family, "AutoModelForSequenceClassification", LABELS))
    batch = to_device(make_batch(), DEVICE)

    ours = document_logits(packed, batch)
    theirs = torch.cat([alone(ids).logits for ids in documents(batch)])

    assert ours.shape == (len(LENGTHS), 3)
    assert_equal(packed.cpu(), alone.cpu(), ours.cpu(), theirs.cpu())


@pytest.mark.parametrize("family", PACKED)
@pytest.mark.parametrize("lengths", [LENGTHS, LONG], ids=["short", "long"])
def test_in_bfloat16_a_batch_is_what_each_document_is_alone_but_for_rounding(family, lengths):
    packed, alone = (model.to(DEVICE) for model in make_pair(family, "AutoModel", max_position_embeddings=1024))
    batch = to_device(make_batch(lengths), DEVICE)
    exact = torch.cat([alone(ids).last_hidden_state[0] for ids in documents(batch)])

    ours = hidden_states(packed.to(torch.bfloat16), batch).float()
    theirs = torch.cat([alone.to(torch.bfloat16)(ids).last_hidden_state[0] for ids in documents(batch)]).float()

    assert (ours - exact).square().mean() < 2 * (theirs - exact).square().mean()


def test_a_training_in_bfloat16_learns_and_goes_on_where_it_was_stopped(make_job, tmp_path, reviews, pretrained):
    inputs = {"data": reviews, "from": pretrained}
    config = validate(finetune.Config, SETTINGS)
    whole = on_gpu(make_job(tmp_path / "whole", inputs))
    summary = finetune.run(config, whole)

    stopped = on_gpu(make_job(tmp_path / "stopped", inputs))
    with pytest.raises(TryAgainError):
        finetune.run(config, dataclasses.replace(stopped, stop=StopsAfter(20)))
    again = finetune.run(config, stopped)

    assert summary["validation"]["accuracy"] > 0.9
    assert again["steps"] == summary["steps"]
    assert again["validation"]["loss"] == pytest.approx(summary["validation"]["loss"], abs=0.05)


@pytest.mark.parametrize("family", PACKED)
def test_compiled_layers_give_the_same_but_for_rounding_and_are_compiled_at_the_first_batch_alone(family):
    torch.compiler.reset()
    model, exact = make_pair(family, "AutoModel", max_position_embeddings=1024)
    model, exact = model.to(DEVICE, torch.bfloat16), exact.to(DEVICE)
    layers = CompiledLayers(compiled_layers(model))
    graphs = []

    for lengths in RAGGED:
        batch = to_device(make_batch(lengths), DEVICE)
        truth = torch.cat([exact(ids).last_hidden_state[0] for ids in documents(batch)])
        expected = gradients_of(exact, truth.square().mean())
        plain = hidden_states(model, batch)
        plain_gradients = gradients_of(model, plain.float().square().mean())
        with layers.in_use():
            compiled = hidden_states(model, batch)
        gradients = gradients_of(model, compiled.float().square().mean())
        graphs.append(layers.num_graphs)

        assert (compiled - truth).square().mean() < 2 * (plain - truth).square().mean()
        errors, plain_errors = (
            torch.stack([(found[name] - expected[name]).square().mean() for name in expected])
            for found in (gradients, plain_gradients)
        )
        assert errors.sum() < 2 * plain_errors.sum()

    assert graphs == [2 if family == "modernbert" else 1] * len(RAGGED)  # its layers are local or global


@pytest.mark.parametrize(("model", "objective"), [("bert", "mlm"), ("llama", "clm")])
def test_a_training_with_compiled_layers_learns_the_same_and_recompiles_nothing(
    make_job, tmp_path, corpus, model, objective
):
    """Without dropout, of which compiled layers draw other values."""
    small = {"architecture": model, "hidden_size": 32, "num_attention_heads": 2, "num_hidden_layers": 2}
    settings = {key: value for key, value in SETTINGS.items() if key != "from"} | {"data": "corpus"}
    config = validate(pretrain.Config, settings | {"model": small, "objective": objective})
    inputs = {"data": corpus}

    plain = pretrain.run(config, on_gpu(make_job(tmp_path / "plain", inputs), torch_compile="never"))
    compiled = pretrain.run(config, on_gpu(make_job(tmp_path / "compiled", inputs), torch_compile="always"))

    assert compiled["environment"]["choices"]["layers"] == "compiled (asked for)"
    assert compiled["recompiles"] == 0
    assert compiled["validation"]["loss"] == pytest.approx(plain["validation"]["loss"], rel=0.02)


def test_batches_made_ahead_and_copied_from_pinned_memory_train_the_same(
    make_job, tmp_path, reviews, pretrained, monkeypatch
):
    inputs = {"data": reviews, "from": pretrained}
    config = validate(finetune.Config, SETTINGS)
    ahead, now = (on_gpu(make_job(tmp_path / name, inputs)) for name in ("ahead", "now"))

    finetune.run(config, ahead)
    monkeypatch.setattr(Loader, "of", lambda device: Loader(device))
    finetune.run(config, now)

    losses = [
        [line["loss"] for line in read_log(job.folder / "metrics.jsonl") if "loss" in line] for job in (ahead, now)
    ]
    assert len(losses[0]) == 40
    assert losses[0] == pytest.approx(losses[1], abs=0.02)


def test_a_batch_in_pinned_memory_comes_to_the_gpu_as_it_was():
    batch = pinned(make_batch())

    there = to_device(batch, DEVICE)

    assert batch.input_ids.is_pinned()
    assert torch.equal(there.input_ids.cpu(), make_batch().input_ids)
    assert torch.equal(there.cu_seq_lens.cpu(), make_batch().cu_seq_lens)


def test_what_is_measured_on_a_gpu_is_what_a_cpu_measures(make_job, tmp_path, reviews, pretrained):
    job = on_gpu(make_job(inputs={"data": reviews, "from": pretrained}))
    finetune.run(validate(finetune.Config, SETTINGS), job)
    test = open_dataset(reviews.folder)["test"]

    there = run_checkpoint(job.folder, TextClassification(), test, on_gpu(make_job(tmp_path / "gpu"))).outputs
    here = run_checkpoint(job.folder, TextClassification(), test, make_job(tmp_path / "cpu")).outputs

    assert there["nll"] == pytest.approx(here["nll"], abs=1e-4)


def test_batches_are_tried_on_the_card(make_job, tmp_path, reviews, pretrained):
    settings = {"max_steps": 4, "per_device_batch_tokens": "auto", "global_batch_tokens": 512}
    config = validate(finetune.Config, SETTINGS | settings)

    summary = finetune.run(config, on_gpu(make_job(tmp_path / "a", {"data": reviews, "from": pretrained})))

    choice = summary["environment"]["choices"]["batches"]
    assert re.match(r"1 x 512 tokens \([\d.]+ GB of memory are free, and a token took [\d,]+ KB in trials", choice)
