"""Two real processes: what they tell each other, and that they train what one process trains."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from bmtool.errors import ConfigError, TryAgainError
from bmtool.models.building.build import new_model
from bmtool.models.heads.several_heads import SeveralHeads
from bmtool.train.machine.world import World, _meet
from bmtool.train.watching.monitor import read_log
from bmtool.train.weights.sharing import pick_sharing
from safetensors.torch import load_file
from torch.distributed import HashStore

sys.path.insert(0, str(Path(__file__).parents[2]))
from transformers import BertConfig

from pair import BATCHES_READ, TRAINED, encode, train


@pytest.fixture(scope="module")
def pair(corpus, tmp_path_factory):
    """What two processes left."""
    folder = tmp_path_factory.mktemp("pair")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    script = Path(__file__).parents[2] / "pair.py"
    shared = {"WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    processes = [
        subprocess.Popen(
            [sys.executable, script, corpus.folder, folder],
            env={**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    said = [process.communicate(timeout=300)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], "\n".join(said)
    return folder


@pytest.fixture(scope="module")
def alone(corpus, tmp_path_factory):
    """The same by this process."""
    folder = tmp_path_factory.mktemp("alone")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BMTOOL_FAULT", "")
        for name in ("two", "four", "rising", "bf16", "trouble"):
            train(corpus.folder, folder, name)
    return folder


def test_nobody_begins_when_one_was_stopped_before_all_were_there():
    store = HashStore()

    for rank, reason in ((1, "SIGTERM"), (0, "")):
        with pytest.raises(TryAgainError, match=r"^stopped by SIGTERM; nothing was begun"):
            _meet(store, rank, 2, SimpleNamespace(reason=reason))


def test_one_that_is_stopped_when_all_are_there_begins_with_them():
    store = HashStore()
    store.set("here/0", "1")

    _meet(store, 1, 2, SimpleNamespace(reason="SIGTERM"))
    _meet(store, 0, 2, SimpleNamespace(reason=""))


def log_of(folder, name):
    clocks = ("tokens_per_second", "loading_share", "rss_bytes", "flop_utilisation")
    lines = read_log(folder / name / "metrics.jsonl")
    return [{key: value for key, value in line.items() if key not in clocks} for line in lines]


def test_what_processes_say_reaches_all(pair):
    said = [json.loads((pair / f"said-{rank}.json").read_text()) for rank in range(2)]

    assert [one.pop("world") for one in said] == [[0, 2, 0, 2], [1, 2, 1, 2]]
    del said[0]["tried"], said[1]["tried"]
    assert said[0] == said[1] == {"total": [3, 1], "told": {"from": 0}, "gathered": [["a"], ["a", "a"]]}


def test_processes_that_try_batches_take_what_fits_into_half_of_the_least_memory(pair):
    (first, why), (second, also) = (json.loads((pair / f"said-{rank}.json").read_text())["tried"] for rank in range(2))

    assert 0 < first == second
    assert why.startswith("0.2 GB of memory are free, and a token took")
    assert also.startswith("0.2 GB of memory are free, and a token took")


def test_a_process_alone_says_it_to_itself():
    world = World.current()

    assert (world.total([2, 0.5]), world.told({"a": 1}), world.gathered("b")) == ([2, 0.5], {"a": 1}, ["b"])


def test_two_processes_train_the_weights_of_one_bit_for_bit(pair, alone):
    two, one = (load_file(folder / "two.safetensors") for folder in (pair, alone))

    assert all(torch.equal(value, two[name]) for name, value in one.items())


@pytest.mark.parametrize("name", TRAINED)
def test_weights_losses_and_gradients_equal_those_of_one_process(pair, alone, name):
    same = name.removeprefix("sharded-")
    two, one = load_file(pair / f"{name}.safetensors"), load_file(alone / f"{same}.safetensors")
    both = zip(log_of(pair, name), log_of(alone, same), strict=True)

    # Sums of float32 in another order, over 10 steps of AdamW at 3e-3; in bfloat16 a last digit has turned by then.
    exact = 1e-3 if same == "bf16" else 1e-5
    assert max(float((value - two[key]).abs().max()) for key, value in one.items()) < 10 * exact
    assert {value.dtype for value in two.values()} == {torch.float32}
    for here, there in both:
        assert (here["step"], here["tokens"]) == (there["step"], there["tokens"])
        assert (here.get("loss") or 0) == pytest.approx(
            there.get("loss") or 0, rel=exact
        )  # null where it was no number
        assert (here.get("grad_norm") or 0) == pytest.approx(there.get("grad_norm") or 0, rel=10 * exact)
        assert here.get("metrics", {}) == pytest.approx(there.get("metrics", {}), rel=exact)


def test_a_process_holds_its_rows_alone_and_the_first_one_gets_all_back(pair):
    held = [json.loads((pair / f"held-{rank}.json").read_text()) for rank in range(2)]
    before, after = (load_file(pair / f"{name}.safetensors") for name in ("before", "after"))

    assert [one["hollow"] for one in held] == [0, 0]
    assert held[0]["count"] == held[1]["count"] == held[0]["own"] + held[1]["own"]
    assert 0 <= held[0]["own"] - held[1]["own"] < 0.01 * held[0]["count"]  # of an odd number of rows it has one more
    assert after.keys() == before.keys()
    assert all(torch.equal(value, after[name]) for name, value in before.items())


@pytest.mark.parametrize("size", BATCHES_READ)
def test_processes_read_each_text_once_and_all_get_what_one_process_reads(pair, corpus, monkeypatch, size):
    monkeypatch.setattr("bmtool.train.inference.features.BATCH_TOKENS", size)  # `encode` changes it

    expected, tokens = encode(corpus.folder, size)

    read = [json.loads((pair / f"read-{size}-{rank}.json").read_text()) for rank in range(2)]
    assert sum(read) == tokens
    assert (read[1] == 0) == (size == max(BATCHES_READ))
    for rank in range(2):
        found = load_file(pair / f"features-{size}-{rank}.safetensors")["features"]
        assert torch.equal(found, expected)


def test_muon_is_not_given_parts_of_matrices():
    two, cpu = World(size=2), torch.device("cpu")

    with pytest.raises(ConfigError, match="optim muon needs whole matrices"):
        pick_sharing("always", None, "muon", torch.float32, cpu, two)
    assert pick_sharing("auto", None, "muon", torch.float32, cpu, two)[1] == "whole (muon needs whole matrices)"


def test_heads_that_take_turns_are_not_given_parts_of_weights():
    config = BertConfig(vocab_size=20, hidden_size=8, num_hidden_layers=1, num_attention_heads=2, intermediate_size=8)
    one, other = (new_model(config, "AutoModelForSequenceClassification", ("a", "b"), seed) for seed in (0, 1))
    model, two, cpu = SeveralHeads({"one": one, "other": other}), World(size=2), torch.device("cpu")

    with pytest.raises(ConfigError, match="with several tasks each has those of the heads that it used"):
        pick_sharing("always", model, "adamw", torch.float32, cpu, two)
    assert pick_sharing("auto", model, "adamw", torch.float32, cpu, two)[1] == "whole (several heads)"


@pytest.mark.parametrize(("name", "step", "tolerance"), [("stopped", 6, 0), ("sharded-stopped", 5, 1e-4)])
def test_one_process_goes_on_where_two_were_stopped(pair, alone, corpus, name, step, tolerance):
    states = [path.name for path in (pair / name / "checkpoints").iterdir()]

    train(corpus.folder, pair, name)

    assert states == [f"step-{step:08d}"]
    resumed, one = load_file(pair / f"{name}.safetensors"), load_file(alone / "two.safetensors")
    assert max(float((value - resumed[key]).abs().max()) for key, value in one.items()) <= tolerance
