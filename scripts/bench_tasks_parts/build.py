"""Prepares some rows of each task with bmtool, and writes for both sides what they start from.

    build.py FOLDER DATA TASK ...

What comes out, in FOLDER: the artifacts of `bmtool prepare` under runs/bench_tasks/prepare/, and for each TASK

    TASK/model/       new weights with the tokenizer, as bmtool's stage makes them; transformers opens them
    TASK/rows.arrow   the encoded rows as the peer's Trainer takes them, and how many real tokens each has
    TASK/facts.json   the mean and the most of these
"""

import gzip
import json
import random
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from bench_tasks_parts.work import CHANGES, LENGTH, MODELS, ROWS, TOKENIZERS, VOCABULARY, texts_of
from bmtool.artifacts.store import open_artifact
from bmtool.config.model import validate
from bmtool.config.shared import Runtime
from bmtool.console import Console
from bmtool.contracts import Batch, Job
from bmtool.stages import finetune
from bmtool.train.jobs.finetuning import Lesson, open_lesson

NUM_ROWS, NUM_ROWS_OF_WORDS = 640, 4000


class Never:
    reason = ""


def read(path: Path) -> list[dict[str, Any]]:
    """The rows of a file, shuffled, each of its texts in one row alone."""
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as file:
        rows = [json.loads(line) for line in file]
    random.Random(0).shuffle(rows)
    seen: set[str] = set()
    kept = []
    for row in rows:
        texts = {text for text in texts_of(row) if text}
        if "context" in row or not texts & seen:  # several questions are asked of a context
            kept.append(row)
        seen |= texts
    return kept


def prepare(folder: Path, data: Path) -> None:
    """All datasets, in one go; a second time nothing is done."""
    files = {file: read(data / file) for file in sorted({row.file for row in ROWS.values()})}
    words = [text for rows in files.values() for row in rows[:NUM_ROWS_OF_WORDS] for text in texts_of(row) if text]
    write(folder / "words.jsonl", [{"text": text} for text in words])
    sections: dict[str, Any] = {
        name: {"sources": "words.jsonl", "tokenizer": {"type": name, "vocab_size": VOCABULARY}}
        for name in sorted(set(TOKENIZERS.values()))
    }
    for name, row in ROWS.items():
        rows = CHANGES.get(name, list)(files[row.file][:NUM_ROWS])
        write(folder / f"{name}.jsonl", [{column: one[column] for column in row.keep} for one in rows])
        sections[name] = {"task": row.task, "sources": f"{name}.jsonl"} | (
            {"columns": row.columns} if row.columns else {}
        )
    config = {"version": 1, "name": "bench_tasks", "prepare": sections}
    (folder / "bench.yaml").write_text(json.dumps(config, indent=1))  # JSON is YAML
    subprocess.run([sys.executable, "-m", "bmtool", "prepare", "bench.yaml", "--quiet"], cwd=folder, check=True)


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows))


def lesson_of(folder: Path, name: str) -> Lesson:
    """The task with new weights."""
    made = folder / "runs/bench_tasks/prepare"
    words = made / TOKENIZERS[ROWS[name].model]
    settings = {
        "data": f"{made / name}/",
        "tokenizer": f"{words}/",
        "model": MODELS[ROWS[name].model],
        "max_seq_length": LENGTH,
        "per_device_batch_tokens": 4 * LENGTH,
        "max_steps": 1,
    }
    inputs = {"data": open_artifact((made / name).resolve()), "tokenizer": open_artifact(words.resolve())}
    job = Job(folder, inputs, 0, Runtime(device="cpu"), Console(quiet=True), Never())
    return open_lesson(validate(finetune.Config, settings), job)


def plain(name: str, batch: Batch) -> dict[str, Any]:
    """The batch of one example as a row for transformers."""
    ids, targets = batch.input_ids[0].tolist(), {key: value.tolist() for key, value in batch.targets.items()}
    if ROWS[name].task["type"] == "similarity":
        border = int(batch.cu_seq_lens[1])
        return {"input_ids": ids[:border], "input_ids_pair": ids[border:]}
    if batch.token_type_ids is not None and "positions" in targets:  # the source is type 0
        return {"input_ids": ids[: int((batch.token_type_ids == 0).sum())], "labels": targets["labels"]}
    row: dict[str, Any] = {"input_ids": ids}
    if batch.token_type_ids is not None:
        row["token_type_ids"] = batch.token_type_ids[0].tolist()
    if "spans" in targets:
        return row | dict(zip(("start_positions", "end_positions"), targets["spans"][0], strict=True))
    if "positions" not in targets:
        return row | {"labels": targets["labels"][0]}
    labels = np.full(len(ids), -100)
    labels[np.array(targets["positions"]) + int(batch.is_causal)] = targets["labels"]  # shifted by causal classes
    return row | {"labels": labels.tolist()}


def build(folder: Path, name: str) -> None:
    lesson = lesson_of(folder, name)
    out = folder / name
    shutil.rmtree(out, ignore_errors=True)
    lesson.save(out / "model", lesson.model(), None)
    task, examples, rng = lesson.task, lesson.parts["train"], np.random.default_rng(0)
    rows = [plain(name, task.collate(examples, np.array([place]), rng)) for place in range(len(examples))]
    if ROWS[name].task["type"] == "text_regression":
        rows = [{**row, "labels": (row["labels"] - task.mean) / task.scale} for row in rows]
    tokens = examples.packed_lengths.astype(np.int64)
    table = pa.Table.from_pylist([{**row, "tokens": count} for row, count in zip(rows, tokens.tolist(), strict=True)])
    with pa.OSFile(str(out / "rows.arrow"), "wb") as file, pa.ipc.new_stream(file, table.schema) as stream:
        stream.write_table(table)
    facts = {"mean": float(tokens.mean()), "longest": int(tokens.max()), "rows": len(rows)}
    (out / "facts.json").write_text(json.dumps(facts))
    print(f"{name}: {facts}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    place, data = Path(sys.argv[1]), Path(sys.argv[2])
    place.mkdir(parents=True, exist_ok=True)
    prepare(place, data)
    for one in sys.argv[3:]:
        build(place, one)
