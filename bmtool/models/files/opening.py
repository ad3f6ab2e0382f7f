"""Open a finished model for use: which files it consists of, whether they are whole, what it was trained for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from bmtool.artifacts.files import sha256_of
from bmtool.artifacts.foreign import foreign_fingerprint
from bmtool.artifacts.manifest import MANIFEST, Manifest, read_manifest
from bmtool.config.recorded import read_back
from bmtool.contracts import OnePassTask
from bmtool.data.tokenizing.tokenizers import load_tokenizer
from bmtool.errors import DataError, MissingInputError
from bmtool.models.files.checkpoint import INFO, open_config, open_model, read_info
from bmtool.models.files.inference import BATCH_TOKENS, Predictor, TorchModel
from bmtool.models.files.task_folders import task_folder, whole_of
from bmtool.models.onnx.model import DECODER_FILE, ENCODER_FILE, MODEL_FILE, OnnxModel, config_of_bundle
from bmtool.registry import CLEANERS, TASKS

if TYPE_CHECKING:
    from bmtool.contracts import Cleaner, Task
    from bmtool.models.files.inference import Backend

#: What to do about a checkpoint that another version of bmtool made.
_AGAIN = "Fine-tune it again, or use the version that made it"


def load(path: str | Path, *, task: str = "", batch_tokens: int = BATCH_TOKENS) -> Predictor:
    """Open a fine-tuned checkpoint or an exported bundle: ours, or a plain Hugging Face folder.

    Of several tasks `task` says which one; so does the path of its own folder.

    Raises:
        ConfigError: it isn't said which of several tasks is meant.
        MissingInputError: no model is there, or one that was not trained for a task.
        DataError: a file of the artifact differs from its manifest.
        RefusedError: the folder needs pickle or remote code.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise MissingInputError(f"{folder}: there is no such folder. Give a checkpoint or a bundle")
    folder = task_folder(folder, task)
    whole = whole_of(folder)
    manifest = read_manifest(whole) if (whole / MANIFEST).exists() else None
    if manifest:
        _verify(whole, manifest)
    is_bundle = any((folder / name).exists() for name in (MODEL_FILE, DECODER_FILE))
    info = _bundle_info(folder) if is_bundle else read_info(folder)
    goal = _suited(folder, task_of(folder, info), is_bundle=is_bundle)
    labels = tuple(info["labels"])
    return Predictor(
        folder=folder,
        fingerprint=manifest.fingerprint if manifest else foreign_fingerprint(folder, sha256_of),
        task=goal,
        labels=labels,
        max_seq_length=int(info["max_seq_length"]),
        tokenizer=load_tokenizer(folder),
        backend=_graphs(folder, goal) if is_bundle else TorchModel(open_model(folder, goal.auto_class), goal),
        columns=dict(info.get("columns") or {}),
        cleaners=tuple(cast("Cleaner", read_back(CLEANERS, one, folder, _AGAIN)) for one in info.get("clean") or ()),
        list_separator=info.get("list_separator"),
        batch_tokens=batch_tokens,
    )


def _suited(folder: Path, task: Task, *, is_bundle: bool) -> Task:
    """The task for the model in the folder; one that a single graph answers has no choice."""
    if is_bundle and isinstance(task, OnePassTask):
        return task
    return task.suited(config_of_bundle(folder) if is_bundle else open_config(folder), folder)


def _graphs(folder: Path, task: Task) -> Backend:
    if isinstance(task, OnePassTask):
        return OnnxModel(folder, task)
    # transformers takes its time, and others don't need it
    from bmtool.models.onnx.causal import OnnxCausal
    from bmtool.models.onnx.seq2seq import OnnxSeq2Seq

    is_both = (folder / ENCODER_FILE).exists()
    return TorchModel(OnnxSeq2Seq(folder) if is_both else OnnxCausal(folder), task)


def _verify(folder: Path, manifest: Manifest) -> None:
    for name, entry in manifest.files.items():
        path = folder / name
        if not path.is_file() or path.stat().st_size != entry.size or sha256_of(path) != entry.sha256:
            raise DataError(f"{path}: the file is missing or its bytes changed since they were written")


def _bundle_info(folder: Path) -> dict[str, Any]:
    try:
        info: dict[str, Any] = json.loads((folder / INFO).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MissingInputError(f"{folder}: there is an ONNX graph and no {INFO}; this is no bundle of ours") from None
    except ValueError as error:
        raise DataError(f"{folder / INFO}: not JSON: {error}") from None
    return info


def task_of(folder: Path, info: dict[str, Any]) -> Task:
    """The task that a model was trained for.

    Raises:
        MissingInputError: it was trained for something else; or with settings that this version doesn't know.
    """
    settings = dict(info.get("goal") or {})
    name = str(settings.get("type", ""))
    if name not in TASKS.names():
        what = f"was trained for '{name}', which is no task" if name else "has no head for a task"
        raise MissingInputError(
            f"{folder}: the model {what}. Fine-tune it first, on one of: {', '.join(TASKS.names())}"
        )
    return cast("Task", read_back(TASKS, settings, folder, _AGAIN))
