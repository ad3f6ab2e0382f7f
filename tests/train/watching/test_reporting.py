"""Reporters get the numbers of metrics.jsonl; their trouble is said and counted, and training goes on."""

import threading
import time

import pytest
import torch
from bmtool.artifacts.manifest import RESUME
from bmtool.config.model import validate
from bmtool.contracts import Reporter
from bmtool.errors import ConfigError
from bmtool.registry import REPORTERS
from bmtool.stages import pretrain
from bmtool.train.watching.monitor import read_log
from bmtool.train.watching.reporting import Feed, flat
from safetensors.torch import load_file


class Memory:
    """A service that keeps what it gets, or breaks."""

    handle = "mine"

    def __init__(self):
        self.got, self.runs, self.breaks, self.gate = [], [], False, threading.Event()
        self.gate.set()

    def write(self, step, values):
        self.gate.wait()
        if self.breaks:
            raise ConnectionError("no route to host\nsecond line")
        self.got.append((step, values))

    def close(self):
        pass


SERVICE = {}


class Recording(Reporter):
    """Gives numbers to a service in this process."""

    def check(self):
        """It is always there."""

    def open(self, run):
        SERVICE["now"].runs.append(run)
        return SERVICE["now"]


class Missing(Recording):
    """Needs a package of this file's name."""

    check = Reporter.check


@pytest.fixture
def service():
    SERVICE["now"] = Memory()
    yield SERVICE["now"]
    SERVICE["now"].gate.set()


@pytest.fixture
def job(make_job):
    job = make_job()
    (job.folder / RESUME).mkdir()
    return job


def lines(feed, steps):
    for step in steps:
        feed.put("train", {"step": step, "loss": 1.0 / step})


def settings(**more):
    plain = {
        "data": "corpus",
        "model": {"architecture": "bert", "hidden_size": 32, "num_attention_heads": 2, "num_hidden_layers": 1},
        "objective": "mlm",
        "max_seq_length": 32,
        "per_device_batch_tokens": 256,
        "max_steps": 6,
        "eval_every": "3 steps",
        "precision": "fp32",
    }
    return validate(pretrain.Config, plain | more)


def test_a_line_becomes_flat_numbers():
    line = {"step": 3, "loss": 2.5, "flop_utilisation": None, "terms": {"mlm": 2.0, "nsp": 0.5}}

    assert flat("train", line) == {"train/loss": 2.5, "train/mlm": 2.0, "train/nsp": 0.5}


def test_a_reporter_gets_what_the_log_has_and_a_broken_one_changes_nothing(make_job, tmp_path, corpus, service):
    def run(folder, **more):
        job = make_job(tmp_path / folder, {"data": corpus})
        pretrain.run(settings().model_copy(update=more), job)
        return job

    alone, reported = run("a"), run("b", report_to=(Recording(),))
    service.breaks = True
    broken = run("c", report_to=(Recording(),))

    log = read_log(reported.folder / "metrics.jsonl")
    assert [step for step, _ in service.got] == [line["step"] for line in log]
    assert service.got[0][1]["train/loss"] == log[0]["loss"]
    weights = [load_file(job.folder / "model.safetensors") for job in (alone, reported, broken)]
    assert all(torch.equal(weights[0][name], one[name]) for one in weights[1:] for name in one)
    name = Recording.name()
    assert [line for line in broken.console.lines if name in line] == [
        f"warning: {name}: ConnectionError: no route to host. Training goes on; what is lost will be counted",
        f"warning: {name}: 8 lines were lost; metrics.jsonl has them all",
    ]


def test_a_service_that_hangs_holds_nothing_up(job, service):
    service.gate.clear()
    feed = Feed(Recording(), job, waiting_lines=2)
    started = time.monotonic()

    lines(feed, range(1, 101))
    put = time.monotonic() - started
    feed.close(time.monotonic() + 0.2)

    assert put < 1.0
    assert time.monotonic() - started < 3.0
    assert job.console.lines[-1] == f"warning: {feed.name}: 100 lines were lost; metrics.jsonl has them all"


def test_an_outage_that_ends_loses_only_its_own_lines(job, service):
    feed = Feed(Recording(), job)
    service.breaks = True
    lines(feed, [1, 2])
    while feed.lost < 2:
        time.sleep(0.01)
    service.breaks = False
    lines(feed, [3])
    feed.close(time.monotonic() + 5)

    assert [step for step, _ in service.got] == [3]
    assert feed.lost == 2


def test_a_run_that_goes_on_sends_no_step_twice_and_under_the_same_handle(job, service):
    for steps in (range(1, 6), range(3, 9)):  # the first one was killed behind step 5, its state is of step 2
        feed = Feed(Recording(), job)
        lines(feed, steps)
        feed.close(time.monotonic() + 5)

    assert [step for step, _ in service.got] == list(range(1, 9))
    assert [run.handle for run in service.runs] == ["", "mine"]


def test_a_missing_package_is_said_before_training(make_job, tmp_path, corpus):
    job = make_job(tmp_path / "a", {"data": corpus})

    with pytest.raises(ConfigError) as error:
        pretrain.run(settings().model_copy(update={"report_to": (Missing(),)}), job)

    name = Missing.name()
    assert str(error.value) == f"report_to: {name} isn't installed. Install it: pip install 'bmtool-pipeline[{name}]'"
    assert not (job.folder / "metrics.jsonl").exists()


def test_mlflow_without_a_server_is_said_before_training(monkeypatch):
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)

    with pytest.raises(ConfigError, match="MLFLOW_TRACKING_URI says, and that isn't set"):
        REPORTERS.load("mlflow")().check()


def test_where_numbers_go_is_no_part_of_the_fingerprint():
    from bmtool.config.model import what

    assert what(settings(report_to=["tensorboard"])) == what(settings(report_to="tensorboard")) == what(settings())
