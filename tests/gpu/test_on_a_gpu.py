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
from bmtool.models.families.batches import to_device
from bmtool.models.families.packed import document_logits, hidden_states
from bmtool.stages import finetune
from bmtool.tasks.text_classification import TextClassification
from bmtool.train.inference.apply import run_checkpoint

sys.path.insert(0, str(Path(__file__).parent.parent))
from packing import LABELS, LENGTHS, PACKED, assert_equal, documents, make_batch, make_pair
from stopping import StopsAfter

DEVICE = torch.device("cuda")
LONG = [700, 5, 300, 64, 1, 129]
SETTINGS = {
    "data": "stars", "from": "pretrain", "max_steps": 40, "learning_rate": 5e-3, "per_device_batch_tokens": 128,
    "max_seq_length": 32, "precision": "bf16",
}  # fmt: skip

pytestmark = pytest.mark.skipif(
    DEVICE.type == "cuda" and not torch.cuda.is_available(), reason="needs a CUDA device: kernels of its own run there"
)


def on_gpu(job):
    return dataclasses.replace(job, runtime=Runtime(device=DEVICE.type))


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
