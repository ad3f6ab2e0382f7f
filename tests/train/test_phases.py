"""Runs of several phases: each learns its own thing for its own time, and a cut anywhere changes nothing."""

import copy
import dataclasses

import pytest
import torch
from bmtool.architectures.bert import Bert
from bmtool.config.model import validate
from bmtool.config.shared import Training
from bmtool.data.dataset import open_dataset
from bmtool.data.joined import join_examples
from bmtool.data.scoring.scores import evaluate_metrics
from bmtool.data.tokenizing.tokenizers import load_tokenizer
from bmtool.errors import TryAgainError
from bmtool.models.building.build import new_model
from bmtool.objectives.mlm import Mlm
from bmtool.train import loop
from bmtool.train.order.mixture import Mixture
from bmtool.train.phases import Phase
from bmtool.train.states.recovery import Start
from bmtool.train.watching.monitor import read_log

SMALL = {"hidden_size": 32, "num_attention_heads": 2, "num_hidden_layers": 1, "dropout": 0.1}


def fit(model, phases, *, job, **settings):
    """The loop, which can make the model again as it is given."""
    begin = copy.deepcopy(model)
    return loop.fit(model, phases, job=job, start=Start(lambda job: copy.deepcopy(begin), job), **settings)


@pytest.fixture(scope="module")
def parts(corpus):
    dataset = open_dataset(corpus.folder)
    tokenizer = load_tokenizer(dataset.tokenizer_folder)
    return {
        length: [Mlm().examples(dataset[name], tokenizer, length) for name in ("train", "validation")]
        for length in (16, 32)
    }


def phase(parts, goal, length, *, steps, **changes):
    train, validation = parts[length]
    plain = {
        "learning_rate": 3e-3,
        "max_seq_length": length,
        "per_device_batch_tokens": 128,
        "max_steps": steps,
        "precision": "fp32",
        "lr_scheduler_type": "constant",
        "warmup_ratio": 0,
        **changes,
    }
    training = validate(Training, plain)
    return Phase(goal, train, validation, training, lambda outputs: evaluate_metrics(goal.metrics, outputs, ()))


def two(parts):
    return [
        phase(parts, Mlm(), 16, steps=5),
        phase(parts, Mlm(mlm_probability=0.4), 32, steps=4, learning_rate=1e-3, lr_scheduler_type="linear"),
    ]


def new_bert():
    config = Bert(**SMALL).config(vocab_size=200, max_seq_length=64, special_ids={"pad": 0})
    return new_model(config, "AutoModelForMaskedLM", seed=0)


class StopAt:
    def __init__(self, log, step):
        self.log, self.step = log, step

    @property
    def reason(self):
        there = self.log.exists() and any(line["step"] >= self.step for line in read_log(self.log))
        return "SIGTERM" if there else ""


def test_each_phase_has_its_steps_its_rate_and_a_validation_at_its_end(make_job, parts):
    job = make_job()

    fitted = fit(new_bert(), two(parts), job=job)

    log = read_log(job.folder / "metrics.jsonl")
    rates = {line["step"]: line["learning_rate"] for line in log if line["kind"] == "train"}
    assert fitted.steps == 9
    assert [rates[step] for step in (1, 5)] == [3e-3, 3e-3]
    assert [rates[step] for step in (6, 7, 8, 9)] == pytest.approx([1e-3, 0.75e-3, 0.5e-3, 0.25e-3])
    assert {line["step"]: line["phase"] for line in log if line["kind"] == "validation"}.keys() >= {5, 9}
    assert [line["phase"] for line in log if line["kind"] == "train"] == [1] * 5 + [2] * 4
    assert any("phase 2 of 2: 4 steps" in line for line in job.console.lines)


@pytest.mark.parametrize("step", [3, 5, 6])
def test_a_cut_before_at_and_behind_the_border_ends_in_the_same_bits(make_job, parts, tmp_path, step):
    whole, job = new_bert(), make_job(tmp_path / "cut")
    fit(whole, two(parts), job=make_job(tmp_path / "whole"))

    cut = dataclasses.replace(job, stop=StopAt(job.folder / "metrics.jsonl", step))
    with pytest.raises(TryAgainError):
        fit(new_bert(), two(parts), job=cut)
    resumed = new_bert()
    fit(resumed, two(parts), job=job)

    expected = whole.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in resumed.state_dict().items())
    assert f"resumed from step {step} of 9" in job.console.lines


def test_watched_corpora_are_measured_before_the_first_step_and_at_the_end(make_job, parts, tmp_path):
    job = make_job(tmp_path / "cut")
    domains = {"own": parts[16][1], "other": parts[32][0]}
    whole = fit(new_bert(), two(parts), job=make_job(tmp_path / "whole"), domains=domains)
    cut = dataclasses.replace(job, stop=StopAt(job.folder / "metrics.jsonl", 4))
    with pytest.raises(TryAgainError):
        fit(new_bert(), two(parts), job=cut, domains=domains)
    fitted = fit(new_bert(), two(parts), job=job, domains=domains)

    assert set(whole.domains) == {"own", "other"}
    for measured in whole.domains.values():
        assert measured["after"]["loss"] < measured["before"]["loss"]
    assert fitted.domains == whole.domains


def test_a_mixture_trains_on_both_corpora(make_job, parts):
    first, validation = parts[16]
    joined = join_examples([first, first])
    mixed = phase(parts, Mlm(), 16, steps=6)
    mixed = Phase(
        mixed.goal, joined, validation, mixed.training, mixed.score, Mixture((len(first), len(first)), (0.5,))
    )

    fitted = fit(new_bert(), [mixed], job=make_job())

    course = mixed.course(0, 0)
    seen = {int(row) for batch in range(course.num_batches(0)) for row in course.rows(0, batch)}
    assert min(seen) < len(first) <= max(seen)
    assert fitted.steps == 6
