"""Fine-tunes with bmtool's stage and prints test accuracy and what it took, as a line of JSON behind RESULT.

    ours.py OUT CHECKPOINT DATASET SETTINGS

SETTINGS is JSON: seed, epochs, learning_rate, length, batch_tokens, precision. What is timed is the whole stage:
encoding, training, validation after each epoch. The test split is opened afterwards, once.
"""

import json
import shutil
import sys
import time
from pathlib import Path

import torch
from bmtool.artifacts.store import open_artifact
from bmtool.config.model import validate
from bmtool.config.shared import Runtime
from bmtool.console import Console
from bmtool.contracts import Job
from bmtool.data.dataset import open_dataset
from bmtool.data.examples.labelled import task_of
from bmtool.data.tokenizing.tokenizers import load_tokenizer
from bmtool.models.files.checkpoint import open_model
from bmtool.stages import finetune
from bmtool.train.inference.predict import run_goal


class Never:
    reason = ""


def main() -> None:
    out, checkpoint, dataset, wanted = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), json.loads(sys.argv[4])
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    config = validate(
        finetune.Config,
        {
            "data": f"{dataset}/",
            "from": f"{checkpoint}/",
            "num_train_epochs": wanted["epochs"],
            "learning_rate": wanted["learning_rate"],
            "lr_scheduler_type": "linear",
            "max_seq_length": wanted["length"],
            "per_device_batch_tokens": wanted["batch_tokens"],
            "precision": wanted["precision"],
            "metric_for_best_model": "accuracy",
            "save_every": "1000000 steps",
        },
    )
    inputs = {"data": open_artifact(dataset.resolve()), "from": open_artifact(checkpoint.resolve())}
    runtime = Runtime(device="cpu", threads=torch.get_num_threads())
    job = Job(out, inputs, wanted["seed"], runtime, Console(quiet=True), Never())
    cpu = time.process_time()
    summary = finetune.run(config, job)
    cpu = time.process_time() - cpu
    opened = open_dataset(dataset)
    task, labels = task_of(opened), opened.labels
    model = open_model(out, task.auto_class, labels)
    examples = task.examples(opened["test"], load_tokenizer(out), wanted["length"])
    outputs = run_goal(model, task, examples, 8192)
    accuracy = float((outputs["predictions"] == outputs["references"]).mean())
    result = {"accuracy": accuracy, "cpu": cpu, "tokens": summary["tokens"], "rows": len(examples)}
    print("RESULT " + json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
