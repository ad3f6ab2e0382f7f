"""Batches are tried before a run begins, and nothing is left of that but what they took."""

import json
import resource
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from bmtool.architectures.bert import Bert
from bmtool.config.model import validate
from bmtool.config.shared import Training
from bmtool.contracts import Examples
from bmtool.data.tokens import InMemoryTokens
from bmtool.models.building.build import new_model
from bmtool.objectives.mlm import Mlm
from bmtool.train.machine.memory import trimmed_memory
from bmtool.train.machine.world import World
from bmtool.train.phases import Phase
from bmtool.train.sizing.probe import Line, Load, Trial, loads_of
from bmtool.train.weights.whole import WholeWeights

CPU = torch.device("cpu")
MANY = 8192


class Faulty(Mlm):
    """Fails, but not for want of memory."""

    def losses(self, model, batch):
        raise RuntimeError("no such thing")


class Greedy(Mlm):
    """Asks for more memory than there is for batches of more than 1,000 tokens."""

    def losses(self, model, batch):
        if batch.num_tokens > 1000:
            torch.empty(2**60, dtype=torch.uint8)
        return super().losses(model, batch)


def examples(lengths):
    """Documents of one token repeated, of so many tokens with the two around them."""
    lengths = np.array(lengths) - 2
    starts = np.concatenate([[0], np.cumsum(lengths)[:-1]])
    tokens = InMemoryTokens(np.full(int(lengths.sum()), 7, np.int64))
    return Examples(tokens, starts, lengths, (1,), (2,), {}, vocab_size=100, special_ids={"[MASK]": 3})


def load(lengths, goal=None, **changes):
    training = validate(
        Training, {"max_steps": 1, "per_device_batch_tokens": "auto", "global_batch_tokens": MANY, **changes}
    )
    return Load(Phase(goal or Mlm(), examples(lengths), None, training, None), np.array(lengths))


def new_trial():
    """Of a small model that computes in float32."""
    config = Bert(size="tiny", dropout=0).config(vocab_size=100, max_seq_length=128, special_ids={"pad": 0})
    model = new_model(config, "AutoModelForMaskedLM", seed=0).train()
    return Trial(WholeWeights.of(model, torch.float32, World()), CPU, seed=0)


@pytest.fixture
def trial():
    return new_trial()


@contextmanager
def only_so_much_more(num_bytes):
    """The kernel gives this process so many more bytes of addresses, and then none."""
    with trimmed_memory():
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def test_the_worst_batch_has_the_longest_texts(monkeypatch):
    monkeypatch.setattr("bmtool.train.sizing.probe.ADDED_AT_ONCE", 3)
    texts = load([10, 40, 20, 60, 30, 50, 10])

    rows = [texts.heaviest(tokens) for tokens in (1, 110, 115, 150)]

    assert [one.tolist() for one in rows] == [[3], [3, 5], [3, 5], [3, 5, 1]]
    assert [texts.size(one) for one in rows] == [60, 110, 110, 150]


def test_where_texts_are_padded_the_padding_counts():
    texts = load([10, 40, 20, 60, 30, 50, 10])
    padded = Load(texts.phase, texts.lengths, pads=True)

    assert padded.heaviest(179).tolist() == [3, 5]
    assert padded.size(padded.heaviest(179)) == 120


def test_a_batch_is_tried_of_each_task_by_itself():
    parts = {"a": examples([10, 20]), "b": examples([30, 10, 40])}
    whole = examples([10, 20, 30, 10, 40])
    phase = load([10]).phase
    joined = Examples(whole.tokens, whole.starts, whole.lengths, (1,), (2,), {}, parts=parts)
    fixed = validate(Training, {"max_steps": 1})

    found = list(loads_of([Phase(None, joined, None, phase.training, None)], pads=False))
    none = list(loads_of([Phase(None, joined, None, fixed, None)], pads=False))

    assert [one.heaviest(60).tolist() for one in found] == [[1, 0], [4]]
    assert none == []


def three_batches():
    """The sizes of two batches, what these say of a third one, what it took, and how many tokens take as much."""
    trial, texts = new_trial(), load([128] * 64)
    trial.warm_up([texts])
    line = trial.line(texts, MANY // 4)
    took = trial._grown(texts, texts.heaviest(MANY))
    return line.tried, line.fixed + MANY * line.of_token, took, line.fits(took)


def test_two_batches_say_what_a_third_one_takes():
    # In a process of its own: room that other tests left between blocks is used up before a process grows.
    program = "import json, runpy, sys; print(json.dumps(runpy.run_path(sys.argv[1])['three_batches']()))"
    done = subprocess.run([sys.executable, "-c", program, __file__], capture_output=True, text=True, check=True)
    tried, foretold, took, fits = json.loads(done.stdout.splitlines()[-1])

    assert tried == [128, MANY // 4]
    assert foretold == pytest.approx(took, rel=0.3)
    assert fits == pytest.approx(MANY, rel=0.3)


def test_nothing_is_left_of_a_trial(trial):
    weights = {name: value.clone() for name, value in trial.weights.model.state_dict().items()}
    torch.manual_seed(5)
    drawn = torch.get_rng_state()

    trial.line(load([64] * 8), 512)

    assert all(torch.equal(value, weights[name]) for name, value in trial.weights.model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), drawn)
    assert trial.weights.gradients() == []


def test_a_batch_that_runs_out_of_memory_is_an_answer_and_half_of_it_is_tried(trial):
    texts = load([100] * 40, Greedy())

    line = trial.line(texts, 3600)

    assert line.tried == (100, 900)
    assert line.most == 1799
    assert line.fits(1e15) == 1799
    assert trial.weights.gradients() == []


def test_what_the_kernel_refuses_is_a_lack_of_memory(trial):
    texts = load([128] * 1024)
    trial.warm_up([texts])

    with only_so_much_more(100_000_000):
        line = trial.line(texts, 1024 * 128)

    assert line.most < 1024 * 128
    assert line.tried[-1] <= line.most


def test_a_model_that_has_no_room_for_one_text_has_none_for_any(trial):
    texts = load([1200] * 2, Greedy(), max_seq_length=1200)

    assert trial.warm_up([texts]) is None
    assert trial.line(texts, 3600) is None


def test_any_other_error_is_not_taken_for_a_lack_of_memory(trial):
    with pytest.raises(RuntimeError, match="no such thing"):
        trial.line(load([64] * 8, Faulty()), 512)


def test_a_single_batch_is_taken_to_need_as_much_for_each_token(trial):
    line = trial.line(load([64]), 512)

    assert line.tried == (64,)
    assert line == Line(0.0, line.of_token, (64,), 2**62)
