"""Bundles: a classifier in another format with all that its answers need, and the proof that they are the same."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from bmtool.artifacts.files import write_json
from bmtool.artifacts.manifest import RESUME
from bmtool.contracts import HeadTask
from bmtool.data.encode import load_tokenizer
from bmtool.data.texts import Joint
from bmtool.errors import ConfigError, GateError
from bmtool.models.checkpoint import INFO, open_model, read_info
from bmtool.models.fresh import run_fresh
from bmtool.models.onnx_model import MODEL_FILE, need_onnx, write_onnx
from bmtool.models.opening import load, task_of

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from bmtool.artifacts.manifest import Artifact
    from bmtool.contracts import Job

PARITY = "parity.json"

#: What is taken over from a checkpoint as it is, where it is there.
_COPIED = ("config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")


def write_bundle(checkpoint: Artifact, folder: Path) -> None:
    """Write the ONNX graph, the tokenizer and the labels of a fine-tuned checkpoint into `folder`.

    Raises:
        ConfigError: an optional package is missing, or the task has no logits that a graph could give.
        MissingInputError: the checkpoint was not trained for a task.
    """
    need_onnx(export=True)
    info = read_info(checkpoint.folder)
    task = task_of(checkpoint.folder, info)
    if not isinstance(task, HeadTask):
        raise ConfigError(f"export: {task.name()} can't be exported as a graph of one forward pass. Leave onnx out")
    model = open_model(checkpoint.folder, task.auto_class, attention="any")
    for name in _COPIED:
        if (checkpoint.folder / name).exists():
            shutil.copyfile(checkpoint.folder / name, folder / name)
    write_json(folder / INFO, {**info, "format": "onnx", "checkpoint": checkpoint.fingerprint})
    has_types = len(task.of_kind("text")) > 1 and Joint.of(load_tokenizer(checkpoint.folder)).second_type > 0
    write_onnx(model, folder / MODEL_FILE, max_seq_length=int(info["max_seq_length"]), has_types=has_types)


def compare(checkpoint: Artifact, folder: Path, data: Any, *, tolerance: float, job: Job) -> dict[str, Any]:
    """Ask the checkpoint here and the bundle in a fresh process for the same rows; write and return the comparison.

    `data` is a split with the task's columns. The answers must have the same best label, unless its lead over the other
    is smaller than what `tolerance` allows both logits to move.

    Raises:
        GateError: a logit differs by more than `tolerance`, or a best label does.
    """
    predictor = load(checkpoint.folder)
    inputs = pa.table({name: data.column(name) for name in predictor.inputs})
    scratch = job.folder / RESUME
    scratch.mkdir(exist_ok=True)
    rows, answers = scratch / "rows.arrow", scratch / "answers.npz"
    with pa.OSFile(str(rows), "wb") as sink, pa.ipc.new_stream(sink, inputs.schema) as writer:
        writer.write_table(inputs)
    run_fresh("bmtool.models.answers", [str(folder), str(rows), str(answers)], job.stop)
    wanted, borders = predictor.logits(inputs)
    with np.load(answers, allow_pickle=False) as found:
        if not np.array_equal(found["offsets"], borders):
            raise GateError(f"{folder}: the bundle cuts the {data.num_rows} rows into other tokens than the checkpoint")
        numbers = differences(wanted, found["logits"], tolerance=tolerance)
    numbers = {"rows": int(data.num_rows), **numbers}
    write_json(folder / PARITY, numbers)
    judge(numbers)
    return numbers


def differences(wanted: NDArray[np.float32], found: NDArray[np.float32], *, tolerance: float) -> dict[str, Any]:
    """Compare two arrays of logits, (rows, labels): plain numbers; `max_abs_difference` is None if one isn't finite."""
    difference = np.abs(wanted.astype(np.float64) - found.astype(np.float64))
    largest = float(difference.max(initial=0.0))
    mine, theirs = wanted.argmax(axis=-1), found.argmax(axis=-1)
    every = np.arange(len(wanted))
    lead = wanted[every, mine].astype(np.float64) - wanted[every, theirs]
    return {
        "answers": len(wanted),
        "max_abs_difference": largest if np.isfinite(largest) else None,
        "argmax_agreement": float((mine == theirs).mean()) if len(wanted) else 1.0,
        "other_answers": int(((mine != theirs) & ~(lead <= 2 * tolerance)).sum()),
        "tolerance": tolerance,
    }


def judge(numbers: dict[str, Any]) -> None:
    """Raise GateError, with the numbers, unless the comparison is good enough."""
    largest = numbers["max_abs_difference"]
    if largest is not None and largest <= numbers["tolerance"] and not numbers["other_answers"]:
        return
    shown = "not a number" if largest is None else f"{largest:.3g}"
    raise GateError(
        f"the exported model isn't the checkpoint: on {numbers['rows']} rows its logits differ by up to {shown} "
        f"(tolerance {numbers['tolerance']:g}), and {numbers['other_answers']} of {numbers['answers']} answers are "
        f"others. Nothing was committed"
    )
