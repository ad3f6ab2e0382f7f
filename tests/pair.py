"""One of two processes that train a tiny model together; `tests/train/machine/test_world.py` starts and imports it."""

import dataclasses
import json
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import torch
from bmtool.architectures.bert import Bert
from bmtool.config.model import validate
from bmtool.config.shared import Runtime, Training
from bmtool.console import Console
from bmtool.contracts import Job
from bmtool.data.dataset import open_dataset
from bmtool.data.scoring.scores import evaluate_metrics
from bmtool.data.tokenizing.tokenizers import load_tokenizer
from bmtool.errors import TryAgainError
from bmtool.models.building.build import new_model
from bmtool.models.families.packed import drop_attention_dropout
from bmtool.objectives.mlm import Mlm
from bmtool.train.inference import features, reading
from bmtool.train.loop import fit
from bmtool.train.machine.world import PartDoneError, World, joined
from bmtool.train.phases import Phase
from bmtool.train.sizing import auto_batch
from bmtool.train.states.recovery import Start
from bmtool.train.weights.layers import freeze
from bmtool.train.weights.sharded import ShardedWeights
from bmtool.train.weights.whole import WholeWeights
from safetensors.torch import save_file

#: Settings by name. Batches of 96 tokens hold from 3 documents up, and each another number of hidden words.
SETTINGS = {
    "two": {"gradient_accumulation_steps": 2},
    "four": {"gradient_accumulation_steps": 4},
    "rising": {"gradient_accumulation_steps": 2, "batch_warmup_steps": 4},
    "bf16": {"gradient_accumulation_steps": 2, "precision": "bf16"},
    "stopped": {"gradient_accumulation_steps": 2},
    "trouble": {"gradient_accumulation_steps": 2},
}

#: What two processes train to the end.
TRAINED = (
    "two",
    "four",
    "rising",
    "sharded-two",
    "sharded-four",
    "sharded-rising",
    "sharded-bf16",
    "trouble",
    "sharded-trouble",
)

#: Tokens of a batch of texts that are read once: many batches, and one, of which the second process has none.
BATCHES_READ = (96, 1_000_000)

#: After so many looks the second process asks to stop: behind step 6, or where it looks in the validation behind step
#: 5 too, which processes that hold parts of the weights do together, there.
LOOKS = 7


class StopAt:
    """Asks to stop after a number of steps."""

    def __init__(self, looks):
        self.looks = looks

    @property
    def reason(self):
        self.looks -= 1
        return "SIGTERM" if self.looks <= 0 else ""


def small_model(goal):
    """Always the same one."""
    small = Bert(hidden_size=32, num_attention_heads=2, num_hidden_layers=1, dropout=0.1)
    config = small.config(vocab_size=200, max_seq_length=64, special_ids={"pad": 0, "bos": 0, "eos": 0})
    return new_model(config, goal.auto_class, seed=0)


def write(model, path):
    """All weights by name."""
    save_file({key: value.detach() for key, value in model.named_parameters()}, path)


def share_out(world, folder):
    """Share out a model of which a part is frozen, and give it back; tell what each process held."""
    model = small_model(Mlm())
    write(model, folder / f"{'before' if world.is_first else 'other'}.safetensors")
    freeze(model, 0)
    weights = ShardedWeights.of(model, torch.bfloat16, world, torch.device("cpu"))
    held = {
        "own": sum(master.numel() for master in weights.masters.values()),
        "count": weights.count,
        "hollow": sum(parameter.numel() for parameter in model.parameters()),
    }
    (folder / f"held-{world.rank}.json").write_text(json.dumps(held))
    weights.give_back()
    if world.is_first:
        write(model, folder / "after.safetensors")


def encode(corpus, batch_tokens):
    """What a head would read of all texts, and of how many tokens this process made it."""
    dataset = open_dataset(corpus)
    examples = Mlm().examples(dataset["train"], load_tokenizer(dataset.tokenizer_folder), 32)
    small = Bert(hidden_size=32, num_attention_heads=2, num_hidden_layers=1)
    config = small.config(vocab_size=200, max_seq_length=64, special_ids={"pad": 0, "bos": 0, "eos": 0})
    model = new_model(config, "AutoModelForSequenceClassification", ("a", "b"), seed=0)
    read = []
    model.get_input_embeddings().register_forward_hook(lambda _, given, out: read.append(out.shape[-2]))
    runtime = Runtime(device="cpu", threads=1)
    job = Job(corpus, {}, 0, runtime, Console(quiet=True), SimpleNamespace(reason=""))
    reading.BATCH_TOKENS = batch_tokens
    found = features.head_inputs(model, Mlm(), examples, job, "train").columns["features"]
    return torch.from_numpy(found), sum(read)


def train(corpus, folder, name, stop=None):
    """Train with the settings `name`, in `sharded-name` with FSDP; the first process writes the weights into `folder`.

    The file is `name.safetensors`.
    """
    os.environ["BMTOOL_FAULT"] = "nan@step:4,nan@step:5,nan@step:6" if name.endswith("trouble") else ""
    plain = {"learning_rate": 3e-3, "max_seq_length": 32, "per_device_batch_tokens": 96, "max_steps": 10}
    plain |= {"precision": "fp32", "save_every": "1000 steps", "eval_every": "5 steps"} | SETTINGS[
        name.removeprefix("sharded-")
    ]
    dataset = open_dataset(corpus)
    goal = Mlm()
    tokenizer = load_tokenizer(dataset.tokenizer_folder)
    examples, validation = (goal.examples(dataset[split], tokenizer, 32) for split in ("train", "validation"))
    model = small_model(goal)
    runtime = Runtime(device="cpu", threads=1, fsdp="always" if name.startswith("sharded-") else "never")
    job = Job(folder / name, {}, 0, runtime, Console(quiet=True), stop or SimpleNamespace(reason=""))
    job.folder.mkdir(exist_ok=True)
    phase = Phase(
        goal, examples, validation, validate(Training, plain), lambda got: evaluate_metrics(goal.metrics, got, ())
    )
    try:
        fit(model, [phase], job=job, start=Start(lambda job: small_model(goal), job))
    except (PartDoneError, TryAgainError):
        return
    write(model, folder / f"{name}.safetensors")


def batches_tried(world, corpus):
    """How many tokens fit where the second process finds less memory free than the first, and why."""
    auto_batch.free_bytes = lambda _: (10**9, 4 * 10**8)[world.rank]
    auto_batch.SURELY = 10**9
    dataset = open_dataset(corpus)
    examples = Mlm().examples(dataset["train"], load_tokenizer(dataset.tokenizer_folder), 32)
    plain = {"max_steps": 1, "learning_rate": 1e-3, "max_seq_length": 32}
    plain |= {"per_device_batch_tokens": "auto", "global_batch_tokens": 1024}
    phase = Phase(Mlm(), examples, None, validate(Training, plain), None)
    model = small_model(Mlm())
    drop_attention_dropout(model)
    weights = WholeWeights.of(model, torch.float32, world)
    return auto_batch.tried(weights, [phase], torch.device("cpu"), world.rank, keeps_best=False)


def main(corpus, folder):
    """All of the above, and what the processes tell each other."""
    from torch.distributed.rendezvous import rendezvous

    rank = int(os.environ["RANK"])
    store = next(iter(rendezvous("env://")))[0]
    with joined(store, "cpu", SimpleNamespace(reason="")):
        world = World.current()
        said = {
            "world": dataclasses.astuple(world),
            "total": world.total([rank + 1, 0.5]),
            "told": world.told({"from": rank}),
            "gathered": world.gathered(["a"] * (rank + 1)),
            "tried": batches_tried(world, corpus),
        }
        (folder / f"said-{rank}.json").write_text(json.dumps(said))
        share_out(world, folder)
        for size in BATCHES_READ:
            found, read = encode(corpus, size)
            save_file({"features": found}, folder / f"features-{size}-{rank}.safetensors")
            (folder / f"read-{size}-{rank}.json").write_text(json.dumps(read))
        for name in TRAINED:
            train(corpus, folder, name)
        for name in ("stopped", "sharded-stopped"):
            train(corpus, folder, name, StopAt(LOOKS) if rank == 1 else None)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
    os._exit(0)  # as bmtool.runner.member ends
