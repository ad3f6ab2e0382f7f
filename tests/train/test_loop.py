"""The loop: equal results however it is cut into batches or interrupted, and nothing broken reaches the weights."""

import copy
import dataclasses

import numpy as np
import pytest
import torch
from bmtool.architectures.bert import Bert
from bmtool.architectures.gpt import Gpt
from bmtool.config.model import validate
from bmtool.config.shared import Runtime, Training
from bmtool.contracts import Examples
from bmtool.data.dataset import open_dataset
from bmtool.data.processors import cgroup_quota
from bmtool.data.scoring.scores import evaluate_metrics
from bmtool.data.tokenizing.tokenizers import load_tokenizer
from bmtool.errors import ConfigError, DivergedError, StoppedError, StorageError, TryAgainError
from bmtool.models.building.build import new_model
from bmtool.models.kernels import products
from bmtool.objectives.clm import Clm
from bmtool.objectives.mlm import Mlm
from bmtool.train import loop
from bmtool.train.loading import Loader
from bmtool.train.machine.device import pick_device, pick_threads
from bmtool.train.machine.precision import pick_precision
from bmtool.train.machine.world import World
from bmtool.train.phases import Phase
from bmtool.train.selection import Selection
from bmtool.train.states.divergence import RECENT, is_broken, is_usable, note_skipped, older_than
from bmtool.train.states.recovery import Start
from bmtool.train.states.state import State
from bmtool.train.steps import Stepper
from bmtool.train.watching.monitor import Monitor, read_log
from bmtool.train.weights.whole import WholeWeights
from safetensors.torch import load_file

SMALL = {"hidden_size": 32, "num_attention_heads": 2, "num_hidden_layers": 1, "dropout": 0.1}
LABELS = ("bad", "good")
BY_THE_CLOCK = ("tokens_per_second", "flop_utilisation", "loader_share", "rss_mb")


class Stop:
    """Asks to stop once the log has a line of this step; or at a validation."""

    def __init__(self, log=None, step=None, reason="SIGTERM"):
        self.log, self.step, self.why = log, step, reason

    @property
    def reason(self):
        if self.log is None or not self.log.exists():
            return ""
        return self.why if any(line["step"] >= self.step for line in read_log(self.log)) else ""


def stopped_at(job, step):
    return dataclasses.replace(job, stop=Stop(job.folder / "metrics.jsonl", step))


@pytest.fixture(scope="module")
def pieces(corpus):
    dataset = open_dataset(corpus.folder)
    tokenizer = load_tokenizer(dataset.tokenizer_folder)

    def make(goal, max_seq_length=32):
        return [goal.examples(dataset[name], tokenizer, max_seq_length) for name in ("train", "validation")]

    return make


def make_model(goal, seed=0):
    architecture = Bert(**SMALL) if goal.auto_class == "AutoModelForMaskedLM" else Gpt(**SMALL)
    config = architecture.config(vocab_size=200, max_seq_length=64, special_ids={"pad": 0, "bos": 0, "eos": 0})
    return new_model(config, goal.auto_class, seed=seed)


def settings(**changes):
    plain = {
        "learning_rate": 3e-3,
        "max_seq_length": 32,
        "per_device_batch_tokens": 256,
        "max_steps": 24,
        "precision": "fp32",
        "save_every": "1000 steps",
        "eval_every": "8 steps",
    }
    plain |= changes
    return validate(Training, {key: value for key, value in plain.items() if value is not None})


def fit(model, phases, *, job, **settings):
    """The loop, which can make the model again as it is given."""
    begin = copy.deepcopy(model)
    return loop.fit(model, phases, job=job, start=Start(lambda job: copy.deepcopy(begin), job), **settings)


def train(job, pieces, goal=None, *, selection=None, stop=None, model=None, **changes):
    goal = goal or Mlm()
    examples, validation = pieces(goal)
    model = model or make_model(goal)
    job = job if stop is None else dataclasses.replace(job, stop=stop)
    fitted = fit(model, [phase(goal, examples, validation, **changes)], job=job, selection=selection)
    return model, fitted


def phase(goal, examples, validation, *, score=None, mixture=None, **changes):
    score = score or (lambda outputs: evaluate_metrics(goal.metrics, outputs, ()))
    return Phase(goal, examples, validation, settings(**changes), score, mixture)


def weights_of(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def assert_same_weights(one, other):
    assert all(torch.equal(value, other[name]) for name, value in one.items())


def log_of(job):
    """The log without what a clock decides."""
    lines = read_log(job.folder / "metrics.jsonl")
    return [{key: value for key, value in line.items() if key not in BY_THE_CLOCK} for line in lines]


# ---------------------------------------------------------------- it learns


@pytest.mark.parametrize("goal", [Mlm(mlm_probability=0.3), Clm()], ids=["mlm", "clm"])
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_the_loss_falls_and_the_model_ends_in_float32(make_job, pieces, goal, precision):
    job = make_job()

    model, fitted = train(job, pieces, goal, precision=precision, max_steps=60)

    log = read_log(job.folder / "metrics.jsonl")
    losses = [line["loss"] for line in log if line["kind"] == "train"]
    validations = [line["metrics"]["loss"] for line in log if line["kind"] == "validation"]
    assert losses[-1] < 0.9 * losses[0]
    assert validations[-1] < validations[0]
    assert fitted.metrics["loss"] == validations[-1]
    assert (fitted.steps, log[-1]["step"]) == (60, 60)
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert not model.training
    assert fitted.choices["precision"].startswith(precision)


def test_bfloat16_follows_float32(make_job, pieces, tmp_path):
    _, exact = train(make_job(tmp_path / "a"), pieces, max_steps=40)
    _, rough = train(make_job(tmp_path / "b"), pieces, max_steps=40, precision="bf16")

    assert rough.metrics["loss"] == pytest.approx(exact.metrics["loss"], rel=0.02)


# ---------------------------------------------------------------- windows


def gradients(goal, examples, batches, model, dtype):
    weights = WholeWeights.of(model, dtype, World())
    only = phase(goal, examples, None)
    stepper = Stepper(
        phases=[only],
        courses=[only.course(0, 0)],
        weights=weights,
        optimizer=None,
        state=State(),
        seed=0,
        device=torch.device("cpu"),
        console=None,
        world=World(),
    )
    _, counts = stepper._count(batches)
    losses = stepper._backward([(0, index) for index in range(len(batches))], batches, counts)
    weights.gradients()  # masters have them from then on
    return losses, {name: master.grad for name, master in weights.masters.items()}


@pytest.mark.parametrize("goal", [Mlm(), Clm()], ids=["mlm", "clm"])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 3e-2)])
def test_several_small_batches_equal_one_batch(pieces, goal, dtype, tolerance):
    goal = goal.measured()  # masks depend on the piece alone, so that both ways hide the same tokens
    examples, _ = pieces(goal)
    rows = np.arange(12)
    rng = np.random.default_rng(0)
    uneven = [goal.collate(examples, part, rng) for part in (rows[:7], rows[7:8], rows[8:])]
    model, same = make_model(goal).eval(), make_model(goal).eval()

    one_loss, one = gradients(goal, examples, [goal.collate(examples, rows, rng)], model, dtype)
    many_loss, many = gradients(goal, examples, uneven, same, dtype)

    assert len({batch.counts[goal.name()] for batch in uneven}) > 1
    assert many_loss[goal.name()] == pytest.approx(one_loss[goal.name()], rel=max(tolerance, 1e-6))
    largest = max(float(grad.abs().max()) for grad in one.values())
    for name, grad in one.items():
        assert (grad - many[name]).abs().max() < tolerance * largest, name


# ---------------------------------------------------------------- resume


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("step", [5, 8, 13])
def test_an_interrupted_run_ends_in_the_same_bits(make_job, pieces, tmp_path, precision, accumulate, step):
    options = {"precision": precision, "gradient_accumulation_steps": accumulate}
    options["selection"] = Selection("loss", higher_is_better=False)
    whole_job, job = make_job(tmp_path / "whole"), make_job(tmp_path / "cut")
    whole, expected = train(whole_job, pieces, **options)

    with pytest.raises(TryAgainError) as stopped:
        train(job, pieces, stop=Stop(job.folder / "metrics.jsonl", step), **options)
    model, fitted = train(job, pieces, **options)

    assert str(stopped.value) == (
        f"stopped by SIGTERM; step {step} of 24 is saved. The same command goes on from there"
    )
    assert f"resumed from step {step} of 24" in job.console.lines
    assert_same_weights(weights_of(whole), weights_of(model))
    assert log_of(job) == log_of(whole_job)
    assert (fitted.metrics, fitted.best, fitted.tokens) == (expected.metrics, expected.best, expected.tokens)


def test_an_interrupted_run_whose_products_are_by_onednn_ends_in_the_same_bits(make_job, pieces, tmp_path, monkeypatch):
    monkeypatch.setattr(products, "MIN_OPERATIONS", 1)
    monkeypatch.setattr(products, "pick_library", lambda: ("oneDNN", "for this test"))
    whole, _ = train(make_job(tmp_path / "whole"), pieces, precision="fp32")
    job = make_job(tmp_path / "cut")

    with pytest.raises(TryAgainError):
        train(job, pieces, stop=Stop(job.folder / "metrics.jsonl", 5), precision="fp32")
    resumed, _ = train(job, pieces, precision="fp32")

    assert_same_weights(weights_of(whole), weights_of(resumed))


@pytest.mark.filterwarnings("ignore:The .grad attribute of a Tensor:UserWarning")  # torch's own, while it traces
@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated:DeprecationWarning")
def test_compiled_layers_learn_the_same_and_an_interrupted_run_of_them_ends_in_the_same_bits(
    make_job, pieces, tmp_path
):
    """Batches are ragged, and the last one of an epoch is small: none of them is compiled for."""
    compiled = Runtime(device="cpu", threads=1, torch_compile="always")
    whole_job, job = (dataclasses.replace(make_job(tmp_path / name), runtime=compiled) for name in ("whole", "cut"))
    _, plain = train(make_job(tmp_path / "plain"), pieces, Clm())
    whole, expected = train(whole_job, pieces, Clm())

    with pytest.raises(TryAgainError):
        train(job, pieces, Clm(), stop=Stop(job.folder / "metrics.jsonl", 8))
    resumed, fitted = train(job, pieces, Clm())

    assert expected.metrics["loss"] == pytest.approx(plain.metrics["loss"], rel=0.01)  # dropout is drawn otherwise
    assert expected.choices["layers"] == "compiled (asked for)"
    assert plain.choices["layers"] == "as they are (a CPU: only with torch_compile: always)"
    assert "layers compiled (asked for)" in whole_job.console.lines
    assert (expected.recompiles, fitted.recompiles) == (0, 0)
    assert_same_weights(weights_of(whole), weights_of(resumed))
    assert log_of(job) == log_of(whole_job)


@pytest.mark.parametrize("goal", [Mlm(), Clm()], ids=["mlm", "clm"])
def test_batches_made_ahead_give_the_same_bits_over_epochs_phases_and_interruptions(
    make_job, pieces, tmp_path, monkeypatch, goal
):
    """Two phases of two epochs; a step takes three batches, so that some begin in one epoch and end in the next."""

    def run(job, stop=None):
        examples, validation = pieces(goal)
        changes = {"gradient_accumulation_steps": 3, "num_train_epochs": 2, "max_steps": None}
        phases = [phase(goal, examples, validation, **changes, per_device_batch_tokens=size) for size in (256, 192)]
        model = make_model(goal)
        fit(model, phases, job=job if stop is None else dataclasses.replace(job, stop=stop))
        return weights_of(model)

    plain_job, ahead_job, cut_job = (make_job(tmp_path / name) for name in ("plain", "ahead", "cut"))
    plain = run(plain_job)
    steps = read_log(plain_job.folder / "metrics.jsonl")[-1]["step"]
    monkeypatch.setattr(Loader, "of", lambda device: Loader(device, is_ahead=True))

    ahead = run(ahead_job)
    with pytest.raises(TryAgainError):
        run(cut_job, Stop(cut_job.folder / "metrics.jsonl", steps // 2))
    resumed = run(cut_job)

    assert_same_weights(plain, ahead)
    assert_same_weights(plain, resumed)
    assert log_of(plain_job) == log_of(ahead_job) == log_of(cut_job)


def test_a_run_stopped_many_times_with_saves_between_ends_in_the_same_bits(make_job, pieces, tmp_path):
    options = {"save_every": "3 steps", "selection": Selection("masked_accuracy", higher_is_better=True)}
    whole, _ = train(make_job(tmp_path / "whole"), pieces, **options)
    job = make_job(tmp_path / "cut")

    for step in (3, 4, 9, 16, 23):
        with pytest.raises(TryAgainError):
            train(job, pieces, stop=Stop(job.folder / "metrics.jsonl", step), **options)
    model, _ = train(job, pieces, **options)

    assert_same_weights(weights_of(whole), weights_of(model))
    assert log_of(job) == log_of(make_job(tmp_path / "whole"))
    assert [line["step"] for line in log_of(job) if line["kind"] == "train"] == list(range(1, 25))


def test_a_damaged_state_is_put_aside_and_the_run_still_ends_in_the_same_bits(make_job, pieces, tmp_path):
    whole, _ = train(make_job(tmp_path / "whole"), pieces)
    job = make_job(tmp_path / "cut")
    with pytest.raises(TryAgainError):
        train(job, pieces, stop=Stop(job.folder / "metrics.jsonl", 15), save_every="5 steps")
    path = job.folder / "checkpoints" / "step-00000015" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1] + b"\xff")

    model, _ = train(job, pieces)

    assert "resumed from step 10 of 24" in job.console.lines
    assert (job.folder / "checkpoints" / "quarantine-step-00000015").is_dir()
    assert_same_weights(weights_of(whole), weights_of(model))
    assert [line["step"] for line in log_of(job) if line["kind"] == "train"] == list(range(1, 25))


@pytest.mark.parametrize("changes", [{"learning_rate": 2e-3}, {"per_device_batch_tokens": 300}])
def test_a_state_that_began_with_other_defaults_is_refused(make_job, pieces, changes):
    job, goal = make_job(), Mlm()
    examples, validation = pieces(goal)
    chosen = {"choices": {"learning rate": "0.002 (by the model's width of 64)"}}
    stopped = dataclasses.replace(job, stop=Stop(job.folder / "metrics.jsonl", 3))
    with pytest.raises(TryAgainError):
        fit(make_model(goal), [phase(goal, examples, validation)], job=stopped, **chosen)

    with pytest.raises(ConfigError) as error:
        fit(make_model(goal), [phase(goal, examples, validation, **changes)], job=job, **chosen)

    assert str(error.value) == (
        "the saved state began in another version of bmtool, with other defaults; now they are learning rate 0.002 "
        "(by the model's width of 64). Begin again with --force"
    )


def test_a_state_whose_best_weights_were_chosen_by_another_default_metric_is_refused(make_job, pieces):
    job = make_job()
    with pytest.raises(TryAgainError):
        train(stopped_at(job, 9), pieces, selection=Selection("loss", higher_is_better=False))
    examples, validation = pieces(Mlm())
    selection = Selection("masked_accuracy", higher_is_better=True, reason="the default of mlm")

    with pytest.raises(ConfigError, match=r"with other defaults; now they are best weights by masked_accuracy \(the"):
        fit(
            make_model(Mlm()),
            [phase(Mlm(), examples, validation)],
            job=job,
            selection=selection,
            choices=selection.choices,
        )


def test_a_signal_during_validation_repeats_the_validation(make_job, pieces, tmp_path):
    job = make_job(tmp_path / "cut")
    train(make_job(tmp_path / "whole"), pieces)

    class InValidation(Stop):
        asked = 0

        @property
        def reason(self):
            if super().reason:
                self.asked += 1
            return "Ctrl-C" if self.asked >= 1 and super().reason else ""

    with pytest.raises(StoppedError):
        train(job, pieces, stop=InValidation(job.folder / "metrics.jsonl", 8))
    assert [line["kind"] for line in log_of(job)] == ["train"] * 8
    train(job, pieces)

    assert log_of(job) == log_of(make_job(tmp_path / "whole"))


def test_the_saved_precision_goes_on_after_a_resume(make_job, pieces):
    job = make_job()
    with pytest.raises(TryAgainError):
        train(job, pieces, stop=Stop(job.folder / "metrics.jsonl", 2), precision="bf16")

    _, fitted = train(job, pieces, precision="auto")

    assert fitted.choices["precision"] == "bf16 (as the saved state)"


# ---------------------------------------------------------------- selection


def ending(job, pieces, values, *, patience=None, higher_is_better=True, **changes):
    """Train with metric values that are given; the goal and the model are real."""
    given = iter(values)
    examples, validation = pieces(Mlm())
    model = make_model(Mlm())
    changes = {"eval_every": "2 steps", "max_steps": 12, **changes}
    measured = phase(
        Mlm(),
        examples,
        validation,
        score=lambda outputs: {"quality": next(given), "loss": float(np.mean(outputs["nll"]))},
        **changes,
    )
    fitted = fit(model, [measured], job=job, selection=Selection("quality", higher_is_better, patience))
    return model, fitted


def test_training_stops_early_and_keeps_the_best_weights(make_job, pieces, tmp_path):
    job = make_job()

    model, fitted = ending(job, pieces, [0.1, 0.5, 0.4, 0.5, 0.9, 0.9], patience=2)

    assert fitted.best == {"step": 4, "metric": "quality", "value": 0.5}
    assert (fitted.steps, fitted.stopped_early) == (8, True)
    assert job.console.lines[-1] == "step 8: stopped, quality isn't better after 2 validations"
    other = stopped_at(make_job(tmp_path / "other"), 4)
    with pytest.raises(TryAgainError):
        ending(other, pieces, [0.1, 0.5, 0.6])
    saved = load_file(other.folder / "checkpoints" / "step-00000004" / "model.safetensors")
    assert_same_weights(saved, dict(model.named_parameters()))


def test_less_is_better_for_a_loss_and_an_undefined_value_is_never_best(make_job, pieces):
    values = [float("nan"), 3.0, 2.0, float("nan"), 2.0, 2.5]

    _, fitted = ending(make_job(), pieces, values, higher_is_better=False)

    assert fitted.best == {"step": 6, "metric": "quality", "value": 2.0}
    assert fitted.steps == 12


def test_early_stopping_counts_on_after_a_resume(make_job, pieces):
    job = make_job()
    with pytest.raises(TryAgainError):
        ending(stopped_at(job, 6), pieces, [0.5, 0.4, 0.3], patience=3)

    _, fitted = ending(job, pieces, [0.3, 0.3, 0.9], patience=3)

    assert (fitted.steps, fitted.stopped_early) == (8, True)
    assert fitted.best == {"step": 2, "metric": "quality", "value": 0.5}


def test_validation_runs_after_each_epoch_and_at_the_end(make_job, pieces):
    job = make_job()

    train(job, pieces, eval_every=None, max_steps=None, num_train_epochs=2.5)

    epochs = [line["epoch"] for line in read_log(job.folder / "metrics.jsonl") if line["kind"] == "validation"]
    assert epochs[:2] == [1.0, 2.0]
    assert 2.4 < epochs[2] < 2.6
    assert len(epochs) == 3


def test_without_validation_the_last_weights_are_kept(make_job, pieces):
    examples, _ = pieces(Mlm())

    fitted = fit(make_model(Mlm()), [phase(Mlm(), examples, None)], job=make_job())

    assert (fitted.metrics, fitted.best, fitted.steps) == ({}, None, 24)


# ---------------------------------------------------------------- divergence


def test_a_window_without_a_usable_loss_leaves_the_weights_alone(make_job, pieces, monkeypatch, tmp_path):
    monkeypatch.setenv("BMTOOL_FAULT", "nan@step:1")
    job = make_job()

    model, fitted = train(job, pieces, max_steps=1)

    assert_same_weights(weights_of(make_model(Mlm())), weights_of(model))
    assert (fitted.steps, fitted.skipped_steps) == (1, 1)
    assert "warning: step 1: loss nan, gradient norm nan; this window is skipped" in job.console.lines


def test_training_goes_on_after_a_skipped_window(make_job, pieces, monkeypatch):
    monkeypatch.setenv("BMTOOL_FAULT", "nan@step:7")
    job = make_job()

    model, fitted = train(job, pieces)

    assert (fitted.steps, fitted.skipped_steps) == (24, 1)
    assert all(torch.isfinite(p).all() for p in model.parameters())
    assert [line["loss"] for line in read_log(job.folder / "metrics.jsonl") if line["step"] == 7] == [None]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_run_that_has_no_saved_state_goes_on_with_the_weights_that_it_began_with(
    make_job, pieces, monkeypatch, precision
):
    monkeypatch.setenv("BMTOOL_FAULT", "nan@step:7,nan@step:9,nan@step:11")
    job = make_job()

    model, fitted = train(job, pieces, max_steps=11, precision=precision)

    assert fitted.rollbacks == [{"step": 11, "to": 0}]
    assert "warning: step 11: training diverged; the weights of the start go on from here" in job.console.lines
    assert_same_weights(weights_of(make_model(Mlm())), weights_of(model))


def test_a_start_that_leads_into_trouble_again_ends_the_run(make_job, pieces, monkeypatch):
    monkeypatch.setenv("BMTOOL_FAULT", ",".join(f"nan@step:{step}" for step in (7, 8, 9, 12, 13, 14)))

    with pytest.raises(DivergedError) as error:
        train(make_job(), pieces)

    assert str(error.value) == (
        "training diverged: 3 windows (steps 12, 13, 14) gave no usable loss or gradient after going back to earlier "
        "weights 1 times. Lower learning_rate (now 0.003), raise warmup_ratio (now 0.1), or set precision to fp32 (now "
        "fp32)"
    )
    assert error.value.exit_code == 4


def test_a_run_that_was_stopped_in_trouble_goes_back_to_the_same_start(make_job, pieces, monkeypatch, tmp_path):
    monkeypatch.setenv("BMTOOL_FAULT", "nan@step:7,nan@step:8,nan@step:9")
    job = make_job(tmp_path / "cut")
    whole, expected = train(make_job(tmp_path / "whole"), pieces)

    with pytest.raises(TryAgainError):
        train(stopped_at(job, 7), pieces)
    model, fitted = train(job, pieces)

    assert fitted.rollbacks == expected.rollbacks == [{"step": 9, "to": 0}]
    assert_same_weights(weights_of(whole), weights_of(model))


def test_broken_weights_are_given_up_for_saved_ones_from_before_the_trouble(make_job, pieces, monkeypatch, tmp_path):
    monkeypatch.setenv("BMTOOL_FAULT", "nan@step:7,nan@step:8,nan@step:9")
    job, cut = make_job(tmp_path / "whole"), make_job(tmp_path / "cut")

    model, fitted = train(job, pieces, save_every="5 steps", max_steps=16)
    with pytest.raises(TryAgainError):
        train(cut, pieces, save_every="5 steps", max_steps=16, stop=Stop(cut.folder / "metrics.jsonl", 12))
    again, _ = train(cut, pieces, save_every="5 steps", max_steps=16)

    assert fitted.rollbacks == [{"step": 9, "to": 5}]
    assert (fitted.steps, fitted.skipped_steps) == (16, 3)
    assert "warning: step 9: training diverged; the weights of step 5 go on from here" in job.console.lines
    assert_same_weights(weights_of(model), weights_of(again))


def test_weights_that_led_into_trouble_again_are_given_up_for_older_ones(make_job, pieces, monkeypatch):
    bad = [f"nan@step:{step}" for step in (6, 7, 8, 12, 13, 14, 16, 17, 18)]
    monkeypatch.setenv("BMTOOL_FAULT", ",".join(bad[:6]))
    _, fitted = train(make_job(), pieces, save_every="5 steps", max_steps=15)
    monkeypatch.setenv("BMTOOL_FAULT", ",".join(bad))

    with pytest.raises(DivergedError, match=r"steps 16, 17, 18\) .* after going back to earlier weights 2 times"):
        train(make_job(), pieces, save_every="5 steps", max_steps=20)

    # Those of step 5 went on from step 8, and led to trouble again.
    assert fitted.rollbacks == [{"step": 8, "to": 5}, {"step": 14, "to": 0}]


def test_a_loss_that_stands_out_is_not_learned_from():
    state = State()
    usual = [2.0 + 0.01 * (step % 5) for step in range(RECENT)]

    assert all(is_usable(state, loss, 1.0) for loss in usual)
    assert is_usable(state, 4.9, 1.0)  # hard examples, not broken weights
    assert not is_usable(state, 5.5, 1.0)
    assert len(state.recent_losses) == RECENT


def test_a_real_divergence_is_caught(make_job, pieces):
    with pytest.raises(DivergedError):
        train(make_job(), pieces, learning_rate=1e6, max_steps=200, warmup_ratio=0.0, eval_every=None)


# ---------------------------------------------------------------- faults and limits


def test_a_full_disk_ends_the_run_and_the_rerun_ends_in_the_same_bits(make_job, pieces, monkeypatch, tmp_path):
    whole, _ = train(make_job(tmp_path / "whole"), pieces)
    job = make_job(tmp_path / "cut")
    monkeypatch.setattr("bmtool.artifacts.faults._seen", {})
    monkeypatch.setenv("BMTOOL_FAULT", "enospc@write:6")  # four writes a state: the second file of the second state
    with pytest.raises(StorageError):
        train(job, pieces, save_every="5 steps")
    monkeypatch.delenv("BMTOOL_FAULT")

    model, _ = train(job, pieces, save_every="5 steps")

    assert "resumed from step 5 of 24" in job.console.lines
    assert_same_weights(weights_of(whole), weights_of(model))


def test_a_model_with_too_few_positions_is_refused(make_job, pieces):
    with pytest.raises(ConfigError, match="max_seq_length is 600, and the model has 512 positions"):
        train(make_job(), pieces, max_seq_length=600, per_device_batch_tokens=700)


def test_choices_come_with_their_reasons(tmp_path):
    cpu = torch.device("cpu")

    assert pick_precision("fp32", cpu) == (torch.float32, "asked for")
    dtype, reason = pick_precision("auto", cpu)
    assert (dtype == torch.bfloat16) == reason.startswith("the processor has A") or "avx512_bf16" in reason
    assert pick_device("cpu") == (cpu, "asked for")
    assert pick_threads(3) == (3, "asked for")
    assert pick_threads(None)[0] >= 1


def test_an_environment_in_which_matrix_products_are_wrong_is_refused(monkeypatch):
    monkeypatch.setenv("OMP_DYNAMIC", "TRUE")

    with pytest.raises(ConfigError) as error:
        pick_threads(None)

    assert str(error.value) == (
        "OMP_DYNAMIC is set in the environment: torch's matrix products come out wrong. Unset it"
    )


@pytest.mark.parametrize(("text", "quota"), [("max 100000", None), ("150000 100000", 1.5), ("garbage", None)])
def test_the_quota_of_a_container_is_read(tmp_path, text, quota):
    (tmp_path / "cpu.max").write_text(text)

    assert cgroup_quota(tmp_path / "cpu.max", tmp_path / "none") == quota


def test_the_older_quota_of_a_container_is_read(tmp_path):
    (tmp_path / "cpu.cfs_quota_us").write_text("300000\n")
    (tmp_path / "cpu.cfs_period_us").write_text("100000\n")

    assert cgroup_quota(tmp_path / "none", tmp_path) == 3.0


def test_a_log_is_cut_behind_a_step_and_loses_a_half_written_line(tmp_path):
    monitor = Monitor(tmp_path / "metrics.jsonl")
    for step in (1, 2, 3):
        monitor.write("train", {"step": step, "loss": float("nan") if step == 2 else 1.0})
    with monitor.path.open("a") as log:
        log.write('{"kind": "train", "step": 2')

    monitor.rewind(2, is_validated=True)

    assert read_log(monitor.path) == [
        {"kind": "train", "step": 1, "loss": 1.0},
        {"kind": "train", "step": 2, "loss": None},
    ]


def test_examples_without_rows_are_no_validation(make_job, pieces):
    examples, validation = pieces(Mlm())
    empty = Examples(validation.tokens, np.zeros(0, np.int64), validation.lengths[:0], (2,), (3,), {})

    fitted = fit(make_model(Mlm()), [phase(Mlm(), examples, empty)], job=make_job())

    assert fitted.metrics == {}


def test_the_log_says_how_much_of_the_machine_is_used(make_job, pieces, monkeypatch):
    monkeypatch.setattr("bmtool.train.trainer.PEAK_AFTER_SECONDS", 0.0)
    job = make_job()

    _, fitted = train(job, pieces, max_steps=8)

    last = [line for line in read_log(job.folder / "metrics.jsonl") if line["kind"] == "train"][-1]
    assert 0 < last["flop_utilisation"] < 1
    assert 0 < last["loader_share"] < 1
    assert last["rss_mb"] > 50
    assert fitted.flop_utilisation == pytest.approx(last["flop_utilisation"], rel=0.01, abs=5e-5)  # the log has 4


def test_a_model_that_cannot_be_packed_says_so_and_its_batches_hold_texts_of_about_equal_length(make_job, pieces):
    import transformers

    width = {"hidden_size": 32, "num_attention_heads": 2, "num_hidden_layers": 1, "intermediate_size": 64}
    config = transformers.DebertaV2Config(
        **width, vocab_size=200, max_position_embeddings=64, relative_attention=True, pos_att_type=["p2c", "c2p"]
    )
    job = make_job()
    model = new_model(config, "AutoModelForMaskedLM")
    seen = []

    class Watched(Mlm):
        def collate(self, examples, rows, rng):
            seen.append(examples.packed_lengths[rows])
            return super().collate(examples, rows, rng)

    examples, _ = pieces(Mlm())
    fit(model, [phase(Watched(), examples, None, max_steps=6)], job=job)

    assert any("a 'deberta-v2' model can't be packed" in line for line in job.console.lines)
    spread = np.mean([lengths.max() - lengths.min() for lengths in seen])
    assert spread < 0.5 * (examples.packed_lengths.max() - examples.packed_lengths.min())


def test_positions_that_a_family_keeps_for_itself_are_not_counted(make_job, pieces):
    import transformers

    width = {"hidden_size": 32, "num_attention_heads": 2, "num_hidden_layers": 1, "intermediate_size": 64}
    config = transformers.RobertaConfig(**width, vocab_size=200, max_position_embeddings=34, pad_token_id=1)
    examples, _ = pieces(Mlm())

    with pytest.raises(ConfigError, match="max_seq_length is 33, and the model has 32 positions"):
        fit(
            new_model(config, "AutoModelForMaskedLM"),
            [phase(Mlm(), examples, None, max_seq_length=33)],
            job=make_job(),
        )


def test_the_state_from_before_trouble_outlives_later_ones(make_job, pieces, monkeypatch):
    monkeypatch.setenv("BMTOOL_FAULT", "nan@step:4,nan@step:9,nan@step:14")
    job = make_job()

    _, fitted = train(job, pieces, save_every="3 steps", max_steps=18)

    assert fitted.rollbacks == [{"step": 14, "to": 3}]


def test_a_long_healthy_time_after_a_rollback_makes_later_states_good_again():
    state = State(bad_steps=[900, 901, 902], rollbacks=[{"step": 100, "to": 90}])

    assert older_than(state) == 900
    assert older_than(dataclasses.replace(state, bad_steps=[150, 151, 152])) == 90


def test_a_validation_that_the_saved_state_does_not_know_of_is_written_again(tmp_path):
    monitor = Monitor(tmp_path / "metrics.jsonl")
    for kind, step in [("train", 1), ("validation", 1), ("train", 2), ("validation", 2), ("train", 3)]:
        monitor.write(kind, {"step": step})

    monitor.rewind(2, is_validated=False)

    found = [(line["kind"], line["step"]) for line in read_log(tmp_path / "metrics.jsonl")]
    assert found == [("train", 1), ("validation", 1), ("train", 2)]


def judged(losses):
    """(state, which were learned from) of steps with these losses, as the loop keeps the count."""
    state, learned = State(), []
    for loss in losses:
        learned.append(is_usable(state, loss, 1.0))
        if not learned[-1]:
            note_skipped(state)
        state.step += 1
    return state, learned


def test_windows_that_stand_out_again_and_again_before_usual_ones_belong_to_the_data():
    """As batches of one text do, a few of whose labels are wrong."""
    state, learned = judged([0.01] * RECENT + [6.0, 0.01, 7.0, 5.0, 0.01, 6.5, 13.0, 0.02])

    assert learned[RECENT:] == [False, True, False, False, True, True, True, True]
    assert state.bad_steps == []
    assert (state.skipped_steps, state.odd_loss) == (3, 14.0)


def test_windows_that_stand_out_one_after_the_other_are_of_broken_weights():
    state, learned = judged([0.01] * RECENT + [6.0, 0.01, 7.0, 8.0, 9.0])

    assert learned[RECENT:] == [False, True, False, False, False]
    assert state.bad_steps == [RECENT + 3, RECENT + 4, RECENT + 5]
    assert is_broken(state)
