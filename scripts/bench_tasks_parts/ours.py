"""Fine-tunes with bmtool and prints what the steps took, as a line of JSON behind RESULT.

    ours.py FOLDER TASK SETTINGS

SETTINGS is JSON: steps, warm, compared (the step at which losses are), precision, learning_rate. What is timed is
`bmtool.train.loop.fit`, the same call with the same settings that the stage `finetune` makes, but for the validation
split: from step `warm` to the last one.
"""

import dataclasses
import json
import shutil
import sys
import time
from pathlib import Path

import numpy as np
import torch
from bench_tasks_parts.work import LENGTH, ROWS_A_BATCH
from bmtool.artifacts.manifest import Artifact
from bmtool.artifacts.store import open_artifact
from bmtool.config.model import validate
from bmtool.config.shared import Runtime
from bmtool.console import Console
from bmtool.contracts import Job
from bmtool.stages import finetune
from bmtool.train.jobs.finetuning import Lesson, open_lesson
from bmtool.train.loop import fit
from bmtool.train.states.recovery import Start


class Clock:
    """Never asks to stop, and notes the CPU that was spent when it was asked: once before each step."""

    def __init__(self) -> None:
        self.asked: list[float] = []

    @property
    def reason(self) -> str:
        self.asked.append(time.process_time())
        return ""


def config_of(folder: Path, name: str, wanted: dict) -> finetune.Config:
    """As many real tokens a batch as the peer's rows have in the mean; AdamW and its rate as the peer's."""
    facts = json.loads((folder / name / "facts.json").read_text())
    return validate(
        finetune.Config,
        {
            "data": f"{folder / 'runs/bench_tasks/prepare' / name}/",
            "from": f"{folder / name / 'model'}/",
            "max_seq_length": min(LENGTH, facts["longest"]),
            "per_device_batch_tokens": max(facts["longest"], round(ROWS_A_BATCH * facts["mean"])),
            "max_steps": wanted["steps"],
            "learning_rate": wanted["learning_rate"],
            "lr_scheduler_type": "constant",
            "precision": wanted["precision"],
            "save_every": "1000000 steps",
        },
    )


def first_loss(lesson: Lesson, model: torch.nn.Module) -> float:
    """Of the first rows, in float32 and without dropout, before anything is learned."""
    model.eval()
    batch = lesson.task.collate(lesson.parts["train"], np.arange(ROWS_A_BATCH), np.random.default_rng(0))
    with torch.no_grad():
        losses = lesson.task.losses(model, batch)
    return sum(float(value) / batch.counts[term] for term, value in losses.items())


def main() -> None:
    folder, name, wanted = Path(sys.argv[1]).resolve(), sys.argv[2], json.loads(sys.argv[3])
    config, out, clock = config_of(folder, name, wanted), folder / "work" / name, Clock()
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    made = folder / "runs/bench_tasks/prepare"
    start = Artifact(folder / name / "model", "checkpoint", "new weights")
    inputs = {"data": open_artifact((made / name).resolve()), "from": start}
    job = Job(out, inputs, 0, Runtime(device="cpu", threads=torch.get_num_threads()), Console(quiet=True), clock)
    lesson = open_lesson(config, job)
    model = lesson.model()
    first = first_loss(lesson, model)
    begins = Start(lambda _: lesson.model(), job)
    fit(model, [dataclasses.replace(lesson.phase(), validation=None)], job=job, start=begins)
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    train = [line for line in lines if line["kind"] == "train"]
    warm, last = wanted["warm"], wanted["steps"] - 1
    tokens = train[last - 1]["tokens"] - train[warm - 1]["tokens"]
    cpu = clock.asked[last] - clock.asked[warm]
    result = {
        "rate": tokens / cpu,
        "cpu": cpu,
        "step": tokens / (last - warm),
        "first": first,
        "end": float(np.mean([line["loss"] for line in train[: wanted["compared"]][-5:]])),
    }
    print("RESULT " + json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
