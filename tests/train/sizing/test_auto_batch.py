"""`per_device_batch_tokens: auto` takes what memory holds, and a step keeps its size."""

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from bmtool.config.model import validate
from bmtool.config.shared import Training
from bmtool.contracts import Examples
from bmtool.data.tokens import InMemoryTokens
from bmtool.errors import ConfigError, TryAgainError
from bmtool.stages import pretrain
from bmtool.train.phases import Phase
from bmtool.train.sizing import auto_batch
from bmtool.train.sizing.auto_batch import divided, settle

AUTO = {"max_steps": 4, "learning_rate": 1e-3, "max_seq_length": 32, "per_device_batch_tokens": "auto"}
MODEL = {"architecture": "bert", "hidden_size": 32, "num_attention_heads": 2, "num_hidden_layers": 1}


class StopAfter:
    """Asks to stop once it was looked at so many times."""

    def __init__(self, looks):
        self.looks = looks

    @property
    def reason(self):
        self.looks -= 1
        return "SIGINT" if self.looks < 0 else ""


@pytest.mark.parametrize(
    ("step", "fits", "processes", "tokens"),
    [(4096, 9000, 1, 4096), (4096, 4000, 1, 2048), (4096, 1000, 2, 682), (4096, 4096, 2, 2048), (1000, 300, 1, 250)],
)
def test_a_step_is_divided_into_as_few_batches_as_fit(step, fits, processes, tokens):
    training = validate(Training, {**AUTO, "global_batch_tokens": step})

    assert divided(training, fits, processes, longest=32) == tokens


def test_each_process_has_as_many_of_many_small_batches_as_the_others():
    training = validate(Training, {**AUTO, "global_batch_tokens": 1_274_200})

    tokens = divided(training, 454, 3, longest=32)

    assert 1_274_200 // 453 % 3 != 0
    assert tokens == 448
    assert 1_274_200 // tokens % 3 == 0


def test_a_saved_state_whose_batches_so_many_processes_cannot_share_says_so():
    training = validate(Training, {**AUTO, "global_batch_tokens": 128})
    phase = Phase(goal=None, train=None, validation=None, training=training, score=None)

    with pytest.raises(ConfigError) as error:
        settle([phase], [128], lambda: (0, ""), useful=128, processes=2)

    assert str(error.value) == (
        "runtime.processes: the saved state goes on with 1 batches a step, as per_device_batch_tokens: auto chose them "
        "when it began, and 2 processes can't share them. Set it to a divisor of 1, or begin again with --force"
    )


@pytest.mark.parametrize("fits", [0, 31, 33])
def test_a_batch_without_room_for_a_text_is_an_error(fits):
    training = validate(Training, {**AUTO, "global_batch_tokens": 63})

    with pytest.raises(TryAgainError, match=f"auto: about {fits} tokens fit into memory. A step of 63 in "):
        divided(training, fits, 1, longest=32)


@pytest.mark.parametrize(("fits", "message"), [(99, "has 99 in each, and a text up to 100"), (150, "")])
def test_a_batch_has_room_for_an_example_that_is_longer_than_a_text(fits, message):
    training = validate(Training, {**AUTO, "global_batch_tokens": 297})
    texts = Examples(InMemoryTokens(np.zeros(140, np.int64)), [0, 40], np.array([40, 100]), (), (), {})
    phase = Phase(goal=None, train=texts, validation=None, training=training, score=None)

    if message:
        with pytest.raises(TryAgainError, match=message):
            settle([phase], (), lambda: (fits, ""), useful=64, processes=1)
    else:
        settled, _ = settle([phase], (), lambda: (fits, ""), useful=64, processes=1)
        assert settled[0].training.batch_tokens == 148


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "auto needs global_batch_tokens"),
        ({"global_batch_tokens": 16}, "must hold at least one text of max_seq_length"),
        ({"global_batch_tokens": 64, "gradient_accumulation_steps": 2}, "has no effect with per_device_batch_tokens"),
        ({"global_batch_tokens": 64, "batch_warmup_steps": 2}, "counts up batches"),
        ({"global_batch_tokens": 64, "per_device_batch_tokens": 64}, "has an effect only with per_device_batch_tokens"),
        ({"global_batch_tokens": 64, "per_device_batch_tokens": 0}, "expected auto, or a whole number above 0"),
        ({"global_batch_tokens": 64, "per_device_batch_tokens": "much"}, "expected a whole number such as 500"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(changes, message):
    with pytest.raises((ConfigError, ValueError), match=message):
        validate(Training, AUTO | changes)


def test_what_was_chosen_is_said_and_goes_on_when_memory_is_another(make_job, tmp_path, corpus, monkeypatch):
    plain = AUTO | {"data": "corpus", "model": MODEL, "objective": "mlm", "global_batch_tokens": 512}
    config = validate(pretrain.Config, plain)
    monkeypatch.setitem(auto_batch.USEFUL_TOKENS, "cpu", 128)
    job = make_job(tmp_path / "a", {"data": corpus})
    whole = pretrain.run(config, make_job(tmp_path / "b", {"data": corpus}))

    with pytest.raises(TryAgainError, match=r"step [123] of 4 is saved"):
        pretrain.run(config, dataclasses.replace(job, stop=StopAfter(2)))
    monkeypatch.setitem(auto_batch.USEFUL_TOKENS, "cpu", 512)
    resumed = pretrain.run(config, job)

    assert whole["environment"]["choices"]["batches"].startswith("4 x 128 tokens (")
    assert resumed["environment"]["choices"]["batches"] == "4 x 128 tokens (as the saved state)"
    assert resumed["tokens"] == whole["tokens"]
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in "ab"]
    assert weights[0] == weights[1]


def test_a_run_whose_batches_were_tried_ends_with_the_bits_of_one_with_that_size(
    make_job, tmp_path, corpus, monkeypatch
):
    plain = {"data": "corpus", "model": MODEL, "objective": "mlm", "max_seq_length": 32, "dropout": 0.1}
    plain |= {"max_steps": 4, "learning_rate": 1e-3, "per_device_batch_tokens": "auto", "global_batch_tokens": 512}
    monkeypatch.setattr(auto_batch, "SURELY", 10**9)
    monkeypatch.setitem(auto_batch.USEFUL_TOKENS, "cpu", 256)
    tried = pretrain.run(validate(pretrain.Config, plain), make_job(tmp_path / "tried", {"data": corpus}))
    size = {"per_device_batch_tokens": 256, "gradient_accumulation_steps": 2}
    del plain["global_batch_tokens"]

    pretrain.run(validate(pretrain.Config, plain | size), make_job(tmp_path / "given", {"data": corpus}))

    choice = tried["environment"]["choices"]["batches"]
    assert re.fullmatch(
        r"2 x 256 tokens \([\d.]+ GB of memory are free, and a token took [\d,]+ KB in trials with 2\d and 2\d\d\)",
        choice,
    )
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("tried", "given")]
    assert weights[0] == weights[1]


def test_nothing_is_tried_where_memory_is_far_more_than_enough(make_job, tmp_path, corpus):
    plain = AUTO | {"data": "corpus", "model": MODEL, "objective": "mlm", "global_batch_tokens": 512}

    summary = pretrain.run(validate(pretrain.Config, plain), make_job(tmp_path / "a", {"data": corpus}))

    choice = summary["environment"]["choices"]["batches"]
    assert re.fullmatch(
        r"1 x 512 tokens \([\d.]+ GB of memory are free, 5 times what is estimated to be needed: not tried\)", choice
    )


TIGHT = """
import json, resource, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from conftest import job_for
from bmtool.config.model import validate
from bmtool.errors import TryAgainError
from bmtool.stages import pretrain
from bmtool.train.machine.memory import trimmed_memory

config = {"data": "corpus", "objective": "mlm", "max_seq_length": 32, "max_steps": 6, "learning_rate": 1e-3}
config |= {"per_device_batch_tokens": "auto", "global_batch_tokens": 1536, "precision": "fp32", "seed": 0}
config |= {"model": {"architecture": "bert", "hidden_size": 256, "num_attention_heads": 4, "num_hidden_layers": 4}}
corpus, folder = sys.argv[2:4]

def batches(name):
    job = job_for(Path(folder) / name, {"data": (corpus, "dataset")})
    return pretrain.run(validate(pretrain.Config, config), job)["environment"]["choices"]["batches"]

said = [batches("plenty")]  # by now all libraries are there
for megabytes in sys.argv[4:]:
    with trimmed_memory():  # or the heap would grow beyond the limit first
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        limit = pages * resource.getpagesize() + int(megabytes) * 10**6
        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
    try:
        said.append(batches(megabytes))
    except TryAgainError as error:
        said.append(str(error))
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(json.dumps(said))
"""


def test_batches_are_as_large_as_the_kernel_has_memory_for(tmp_path, corpus):
    arguments = [Path(__file__).parents[2], corpus.folder, tmp_path, 600, 150]

    done = subprocess.run([sys.executable, "-c", TIGHT, *map(str, arguments)], capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    plenty, some, none = json.loads(done.stdout)
    assert plenty.startswith("1 x 1,536 tokens (")
    assert re.match(r"[2-9] x \d{3} tokens \(0\.\d GB of memory are free, and a token took \d+ KB in trials", some)
    assert none.startswith("per_device_batch_tokens: auto: about 0 tokens fit into memory. A step of 1,536 in ")


@pytest.fixture
def fitting(monkeypatch):
    """How many tokens fit into so many free bytes, of documents of one length and up to 512."""
    from bmtool.architectures.bert import Bert
    from bmtool.models.building.build import bare_model

    config = Bert(size="tiny").config(vocab_size=1000, max_seq_length=512, special_ids={"pad": 0})
    model = bare_model(config, "AutoModelForMaskedLM")
    training = validate(Training, AUTO | {"global_batch_tokens": 4096, "max_seq_length": 512})

    def fit(free, length=512, **changes):
        texts = Examples(InMemoryTokens(np.zeros(length, np.int64)), [0], np.array([length]), (), (), {})
        phase = Phase(goal=None, train=texts, validation=None, training=training, score=None)
        monkeypatch.setattr(auto_batch, "free_bytes", lambda _: free)
        how = {"local_size": 1, "parts": 1} | changes
        return auto_batch.fitting(model, [phase], torch.device("cpu"), torch.float32, **how)[0]

    return fit


def test_less_free_memory_makes_smaller_batches(fitting):
    little, some, much, unknown = (fitting(free) for free in (10**7, 10**9, 2 * 10**9, None))

    assert little == 0
    assert 0 < some < much / 2
    assert fitting(2 * 10**9, local_size=2) == some
    assert unknown == max(auto_batch.USEFUL_TOKENS.values())


def test_longer_documents_leave_room_for_fewer_tokens_and_weights_that_are_shared_out_for_more(fitting):
    long, short, shared = fitting(10**9), fitting(10**9, length=16), fitting(10**9, parts=2)

    assert long < 0.9 * short
    assert long < shared
