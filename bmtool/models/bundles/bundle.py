"""Bundles: a model in another format with all that its answers need, and the proof that they are the same."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any, cast

import pyarrow as pa

from bmtool.artifacts.files import write_json
from bmtool.artifacts.manifest import RESUME
from bmtool.contracts import DocumentTask, OnePassTask
from bmtool.contracts.kinds import INPUTS
from bmtool.data.examples.texts import Joint
from bmtool.data.tokenizing.tokenizer_files import TOKENIZER_FILES
from bmtool.data.tokenizing.tokenizers import load_tokenizer
from bmtool.errors import ConfigError, GateError
from bmtool.models.bundles.fresh import run_fresh
from bmtool.models.families.family import family_for
from bmtool.models.files.checkpoint import INFO, open_config, open_model, read_info
from bmtool.models.files.opening import task_of
from bmtool.models.onnx.export import need_onnx
from bmtool.models.onnx.model import write_one_pass
from bmtool.models.onnx.writer import write_writer

if TYPE_CHECKING:
    from pathlib import Path

    from bmtool.artifacts.manifest import Artifact
    from bmtool.contracts import Job
    from bmtool.models.decoding.writing import Writing

PARITY = "parity.json"


def write_bundle(checkpoint: Artifact, folder: Path) -> None:
    """Write the ONNX graphs, the tokenizer and the labels of a fine-tuned checkpoint into `folder`.

    Raises:
        ConfigError: an optional package is missing.
        MissingInputError: the checkpoint was not trained for a task.
    """
    need_onnx(export=True)
    info = read_info(checkpoint.folder)
    task = task_of(checkpoint.folder, info).suited(open_config(checkpoint.folder), checkpoint.folder)
    model = open_model(checkpoint.folder, task.auto_class, attention="any")
    if isinstance(task, DocumentTask) and family_for(model.config).is_decoder and model.config.pad_token_id is None:
        raise ConfigError(
            f"{checkpoint.folder / 'config.json'}: there is no pad_token_id, so that a graph of several texts couldn't "
            "tell where each one ends. Fine-tune the checkpoint again, or set it to the id of a token that ends no text"
        )
    for name in ("config.json", *TOKENIZER_FILES):
        if (checkpoint.folder / name).exists():
            shutil.copyfile(checkpoint.folder / name, folder / name)
    write_json(folder / INFO, {**info, "format": "onnx", "checkpoint": checkpoint.fingerprint})
    max_seq_length = int(info["max_seq_length"])
    if isinstance(task, OnePassTask):
        has_types = len(task.asked) > 1 and Joint.of(load_tokenizer(checkpoint.folder)).second_type > 0
        write_one_pass(task, model, folder, max_seq_length=max_seq_length, has_types=has_types)
    else:
        longest = cast("Writing", task).max_new_tokens
        write_writer(model, folder, max_seq_length=max_seq_length, max_new_tokens=longest)


def compare(checkpoint: Artifact, folder: Path, data: Any, *, tolerance: float, job: Job) -> dict[str, Any]:
    """Ask the checkpoint and the bundle in a fresh process about the same rows; write and return the comparison.

    `data` is a split with the columns that the task reads; those that it answers are left out.

    Raises:
        GateError: see `judge`.
    """
    task = task_of(checkpoint.folder, read_info(checkpoint.folder))
    inputs = pa.table({name: data.column(name) for name in task.of_kind(*INPUTS)})
    scratch = job.folder / RESUME
    scratch.mkdir(exist_ok=True)
    rows, found = scratch / "rows.arrow", scratch / PARITY
    with pa.OSFile(str(rows), "wb") as sink, pa.ipc.new_stream(sink, inputs.schema) as writer:
        writer.write_table(inputs)
    asked = [str(checkpoint.folder), str(folder), str(rows), str(tolerance), str(found)]
    run_fresh("bmtool.models.bundles.parity", asked, job.stop)
    numbers: dict[str, Any] = json.loads(found.read_text(encoding="utf-8"))
    write_json(folder / PARITY, numbers)
    judge(numbers)
    return numbers


def judge(numbers: dict[str, Any]) -> None:
    """Raise GateError, with the numbers, unless the comparison is good enough.

    No value may differ by more than the tolerance, and no answer at all but where two were equally good within it.
    """
    if not numbers["same_tokens"]:
        raise GateError(f"the bundle cuts the {numbers['rows']} rows into other tokens than the checkpoint")
    largest = numbers["max_abs_difference"]
    if largest is not None and largest <= numbers["tolerance"] and not numbers["other_answers"]:
        return
    shown = "not a number" if largest is None else f"{largest:.3g}"
    raise GateError(
        f"the exported model isn't the checkpoint: on {numbers['rows']} rows what it gives differs by up to "
        f"{shown} (tolerance {numbers['tolerance']:g}), and {numbers['other_answers']} answers are others. Nothing was "
        f"committed"
    )
