"""Trains with bmtool's own loop and prints what the steps took, as a line of JSON behind RESULT.

    ours.py FOLDER OUT TASK SIZE LENGTH --precision bf16 --steps 24 --warm 4 --batch-tokens 2752 --documents 4000

What is timed is `bmtool.train.loop.fit`, from the `warm`-th batch it asks for to the last one: the same call, with the
same settings, that the stage `pretrain` makes. Only the clock is added, where batches are made.
"""

import argparse
import dataclasses
import json
import resource
import shutil
import time
from pathlib import Path

import numpy as np
import torch
from bench_train_parts.corpus import examples_of
from bench_train_parts.work import SIZES, VOCABULARY, useful_flops
from bmtool.architectures.bert import Bert
from bmtool.architectures.gpt import Gpt
from bmtool.config.model import validate
from bmtool.config.shared import Runtime, Training
from bmtool.console import Console
from bmtool.contracts import Job
from bmtool.models.building.build import new_model
from bmtool.models.families.packed import set_dropout
from bmtool.objectives.clm import Clm
from bmtool.objectives.mlm import Mlm
from bmtool.train.loop import fit
from bmtool.train.phases import Phase
from bmtool.train.states.recovery import Start


class Never:
    reason = ""


class Clock:
    """What was spent when each batch was asked for, and how large it became."""

    def __init__(self) -> None:
        self.started: list[tuple[float, float]] = []
        self.loading: list[float] = []
        self.sizes: list[tuple[int, int, int]] = []

    def on(self, goal):
        """The goal, its `collate` timed."""
        clock = self

        class Timed(type(goal)):
            def collate(self, examples, rows, rng):
                clock.started.append((time.perf_counter(), time.process_time()))
                cpu = time.thread_time()
                batch = super().collate(examples, rows, rng)
                clock.loading.append(time.thread_time() - cpu)
                lengths = np.diff(batch.cu_seq_lens.numpy()).astype(np.int64)
                clock.sizes.append((batch.num_tokens, int((lengths**2).sum()), sum(batch.counts.values())))
                return batch

        return Timed()


def model_of(task: str, size: str, length: int):
    layers, width, heads = SIZES[size]
    kind, auto_class = {"mlm": (Bert, "AutoModelForMaskedLM"), "clm": (Gpt, "AutoModelForCausalLM")}[task]
    architecture = kind(hidden_size=width, num_hidden_layers=layers, num_attention_heads=heads)
    roles = {"pad": 0} if task == "mlm" else {"bos": 0, "eos": 0}
    config = architecture.config(vocab_size=VOCABULARY, max_seq_length=length, special_ids=roles)
    model = new_model(config, auto_class)
    set_dropout(model, 0.0)
    return model


def training_of(words: argparse.Namespace) -> Training:
    """The peers' settings: AdamW at 5e-4, weight decay 0.01, a warm-up and then a constant rate, clipping at 1."""
    return validate(
        Training,
        {
            "max_seq_length": words.length,
            "per_device_batch_tokens": words.batch_tokens,
            "gradient_accumulation_steps": words.accumulate,
            "max_steps": words.steps,
            "learning_rate": 5e-4,
            "lr_scheduler_type": "constant",
            "precision": words.precision,
            "save_every": "1000000 steps",
        },
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("task", choices=["mlm", "clm"])
    parser.add_argument("size", choices=SIZES)
    parser.add_argument("length", type=int)
    parser.add_argument("--precision", default="bf16")
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--warm", type=int, default=4)
    parser.add_argument("--batch-tokens", type=int, required=True)
    parser.add_argument("--accumulate", type=int, default=1)
    parser.add_argument("--documents", type=int, default=4000)
    words = parser.parse_args()
    examples = examples_of(words.folder, words.task, words.length)
    few = np.arange(min(words.documents, len(examples)))
    columns = {name: values[few] for name, values in examples.columns.items()}
    examples = dataclasses.replace(
        examples, columns=columns, starts=examples.starts[few], lengths=examples.lengths[few]
    )
    shutil.rmtree(words.out, ignore_errors=True)
    words.out.mkdir(parents=True)
    job = Job(words.out, {}, 0, Runtime(device="cpu", threads=torch.get_num_threads()), Console(quiet=True), Never())
    clock = Clock()
    goal = clock.on({"mlm": Mlm, "clm": Clm}[words.task]())
    start = Start(lambda _: model_of(words.task, words.size, words.length), job)
    fit(start.model(job), [Phase(goal, examples, None, training_of(words), lambda _: {})], job=job, start=start)
    lines = [json.loads(line) for line in (words.out / "metrics.jsonl").read_text().splitlines()]
    report(words, clock, [line["loss"] for line in lines if line["kind"] == "train"])


def report(words: argparse.Namespace, clock: Clock, losses: list[float]) -> None:
    first, last = words.warm * words.accumulate, words.steps * words.accumulate - 1
    wall, cpu = np.subtract(clock.started[last], clock.started[first])
    tokens, squares, predicted = np.sum(clock.sizes[first:last], axis=0).tolist()
    trained = tokens if words.task == "mlm" else predicted
    print(
        "RESULT "
        + json.dumps(
            {
                "tokens": trained,
                "rate": trained / cpu,
                "wall_rate": trained / wall,
                "gflops": useful_flops(words.task, words.size, tokens, squares, predicted) / cpu / 1e9,
                "loader": sum(clock.loading[first:last]) / cpu,
                "real": tokens / (words.batch_tokens * (last - first)),
                "loss": [losses[0], float(np.mean(losses[-5:]))],
                "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            }
        ),
        flush=True,
    )


if __name__ == "__main__":
    main()
