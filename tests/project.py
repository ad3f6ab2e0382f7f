"""A small whole project for tests and for scripts/soak: reviews in a CSV and a file that runs all stages in seconds."""

import csv
import hashlib
import os
import random
import subprocess
import sys
from pathlib import Path

GOOD = [
    "great",
    "lovely",
    "excellent",
    "wonderful",
    "superb",
    "delightful",
    "charming",
    "brilliant",
    "perfect",
    "enjoyable",
]
BAD = ["awful", "boring", "terrible", "horrible", "dull", "dreadful", "clumsy", "broken", "disappointing", "annoying"]
THINGS = [
    "film",
    "book",
    "phone",
    "hotel",
    "meal",
    "lamp",
    "chair",
    "game",
    "jacket",
    "camera",
    "concert",
    "train",
    "teacher",
    "kettle",
    "bicycle",
]
FILLERS = [
    "we",
    "bought",
    "this",
    "last",
    "week",
    "and",
    "the",
    "whole",
    "family",
    "thinks",
    "that",
    "it",
    "is",
    "quite",
    "for",
    "the",
    "price",
    "of",
    "course",
]

CONFIG = """\
version: 1
name: tiny
seed: 3
runtime: {device: cpu, threads: 1}

prepare:
  corpus:
    sources: reviews.csv
    columns: {text: body}
    split: {validation: 0.2, test: 0.2, group: customer}
    tokenizer: {type: wordpiece, vocab_size: 300}
  stars:
    task: text_classification
    sources: reviews.csv
    columns: {text: body, label: stars}
    deduplicate: [exact]
    split: {validation: 0.2, test: 0.2, group: customer}

pretrain:
  data: corpus
  model: {architecture: bert, size: tiny}
  objective: mlm
  max_seq_length: 32
  per_device_batch_tokens: 512
  max_steps: 12
  learning_rate: 3e-3
  precision: fp32
  save_every: 3 steps
  eval_every: 6 steps

finetune:
  data: stars
  max_seq_length: 32
  per_device_batch_tokens: 512
  num_train_epochs: 2
  learning_rate: 1e-3
  precision: fp32
  save_every: 3 steps

evaluate:
  baselines: [majority]
  gates: [{metric: accuracy, min: 0.2}]

export: {formats: [onnx]}
"""


def review(rng: random.Random) -> tuple[str, str]:
    """A made-up review and its stars."""
    stars = rng.choice(["1", "5"])
    mood = GOOD if stars == "5" else BAD
    words = [*rng.sample(FILLERS, 8), rng.choice(THINGS), rng.choice(mood), rng.choice(mood), rng.choice(THINGS)]
    rng.shuffle(words)
    return " ".join(words), stars


def write_reviews(path: Path, rows: int = 400) -> None:
    """A CSV with the columns body, stars and customer; the same bytes each time."""
    rng = random.Random(0)
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.writer(handle)
        writer.writerow(["body", "stars", "customer"])
        for _ in range(rows):
            writer.writerow([*review(rng), f"customer-{rng.randrange(80)}"])


def write_project(folder: Path, config: str = CONFIG) -> Path:
    """reviews.csv and tiny.yaml in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    write_reviews(folder / "reviews.csv")
    (folder / "tiny.yaml").write_text(config, encoding="utf-8")
    return folder


def start(folder: Path, *words: str, fault: str = "") -> subprocess.Popen:
    """Start `bmtool WORDS` in `folder`."""
    environment = {**os.environ, "BMTOOL_FAULT": fault, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONWARNINGS": "ignore"}
    return subprocess.Popen(
        [sys.executable, "-m", "bmtool.cli", *words],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def bmtool(folder: Path, *words: str, fault: str = "") -> subprocess.CompletedProcess:
    """Run `bmtool WORDS` in `folder`."""
    process = start(folder, *words, fault=fault)
    out, err = process.communicate()
    return subprocess.CompletedProcess(words, process.returncode, out, err)


#: Files whose bytes depend on settings and inputs alone; manifests and logs hold times.
COMPARED = (".arrow", ".safetensors", "tokenizer.json", "config.json", "metrics.json")


def tree(root: Path) -> dict[str, str]:
    """All that is below `root`: hashes of the files that must be equal, the mere presence of the others."""
    found = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if path.is_symlink():
            found[name] = f"-> {path.readlink()}"
        elif path.is_file():
            same = path.name.endswith(COMPARED)
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest() if same else "there"
    return found
