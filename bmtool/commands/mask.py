"""`bmtool inspect --mask`: which tokens a model reads, and which of them it learns."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from bmtool.artifacts.manifest import MANIFEST, read_manifest
from bmtool.artifacts.store import open_artifact
from bmtool.console import json_text
from bmtool.errors import MissingInputError
from bmtool.report.cut import cut_lines
from bmtool.report.tables import printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from transformers import PretrainedConfig

    from bmtool.artifacts.manifest import Artifact
    from bmtool.data.dataset import Dataset
    from bmtool.models.decoding.writing import Writing
    from bmtool.models.goals.token_roles import TokenRole

#: Rows that are shown.
SHOWN_ROWS = 3

#: Colours of a terminal (SGR, ECMA-48): what is read is dim, what is learned green, special tokens bold.
_STYLES = {"prompt": "2", "special": "2;1", "answer": "32", "end": "32;1"}


@dataclass(frozen=True)
class _Reader:
    """Who reads the rows."""

    folder: Path
    """A checkpoint, or a corpus"""
    tokenizer_folder: Path
    config: PretrainedConfig
    max_seq_length: int


def mask(folder: Path, model: Path | None = None, *, as_json: bool = False) -> int:
    """Print the tokens of the first training rows with their roles.

    `folder` is a checkpoint, whose rows are those that it was trained on, or a dataset, which is read as by `model`: a
    checkpoint, or a corpus whose tokenizer a new decoder takes; by default by a model that was trained on it.

    Raises:
        MissingInputError: there is nothing to read the rows with; or the task doesn't write.
    """
    from bmtool.data.dataset import open_dataset

    artifact = open_artifact(folder)
    data = artifact.folder if artifact.kind == "dataset" else _data_of(artifact, folder)
    dataset = open_dataset(data)
    reader = _reader(model or (_trained_on(data) if artifact.kind == "dataset" else artifact.folder))
    shown, cut = _roles(_task_of(dataset, reader), dataset, reader)
    if as_json:
        rows = [{"row": row, "tokens": [asdict(token) for token in tokens]} for row, tokens in enumerate(shown)]
        result = {"artifact": str(artifact.folder), "model": str(reader.folder), "split": "train", "rows": rows}
        print(json_text({"command": "inspect", "exit_code": 0, "results": [result]}))  # noqa: T201
        return 0
    print("\n".join(_page(shown, cut, reader, has_colours=sys.stdout.isatty())))  # noqa: T201  # the result
    return 0


def _page(shown: list[list[TokenRole]], cut: list[str], reader: _Reader, *, has_colours: bool) -> Iterator[str]:
    """Each row as stretches of one role, a dot between two tokens."""
    yield f"read by {reader.folder}, max_seq_length {reader.max_seq_length}"
    for row, tokens in enumerate(shown):
        learned = sum(token.role in {"answer", "end"} for token in tokens)
        yield f"\ntrain, row {row}: {len(tokens):,} tokens, {learned:,} of them learned"
        for role, stretch in groupby(tokens, key=lambda token: token.role):
            text = "·".join(printable(token.text.replace("\n", "⏎")) for token in stretch)
            yield f"  {role:8}" + (f"\x1b[{_STYLES[role]}m{text}\x1b[0m" if has_colours else text)
    if cut:
        yield "\nof these rows: " + "; ".join(cut)


def _roles(task: Writing, dataset: Dataset, reader: _Reader) -> tuple[list[list[TokenRole]], list[str]]:
    """The tokens of the first training rows, and what was cut of them, in words."""
    from bmtool.data.tokenizing.tokenizers import load_tokenizer
    from bmtool.models.files.inference import Rows
    from bmtool.models.goals.token_roles import token_roles

    tokenizer = load_tokenizer(reader.tokenizer_folder)
    examples = task.examples(Rows.first(dataset["train"], SHOWN_ROWS), tokenizer, reader.max_seq_length)
    shown = [token_roles(task, examples, row, tokenizer) for row in range(len(examples))]
    return shown, cut_lines(task, examples, reader.max_seq_length)


def _task_of(dataset: Dataset, reader: _Reader) -> Writing:
    """The dataset's task as the reader learns it."""
    from bmtool.data.examples.labelled import task_of
    from bmtool.models.decoding.writing import Writing

    task = task_of(dataset)
    if not isinstance(task, Writing):
        raise MissingInputError(
            f"{dataset.folder}: --mask shows what tasks that write learn (generation, translation, summarization), "
            f"and this is for {task.name()}"
        )
    return task.suited(reader.config, reader.tokenizer_folder)


def _data_of(artifact: Artifact, folder: Path) -> Path:
    """The dataset that a checkpoint was fine-tuned on."""
    inputs: dict[str, Any] = artifact.manifest.inputs if artifact.manifest else {}
    name = inputs.get("data", {}).get("path")
    if artifact.kind != "checkpoint" or name is None:
        raise MissingInputError(
            f"{folder}: --mask looks into a dataset, or a checkpoint that was fine-tuned on one alone. "
            f"Give a dataset, and the model with --model"
        )
    return artifact.folder.parent / str(name)


def _trained_on(data: Path) -> Path:
    """A checkpoint of the same store that was fine-tuned on the dataset, the last one."""
    found = []
    for folder in sorted(data.parent.iterdir()):
        if folder.name.startswith(".") or not (folder / MANIFEST).exists():
            continue
        manifest = read_manifest(folder)
        for role, value in manifest.inputs.items() if manifest.stage == "finetune" else ():
            kind, _, name = role.partition(":")
            if kind == "data" and value.get("path") == data.name:  # with a name it is one task of several
                found.append((manifest.finished, folder / name))
    if not found:
        raise MissingInputError(
            f"{data}: no model of this store was trained on it. Say who reads it: --model CHECKPOINT, or a corpus "
            f"whose tokenizer a new model takes"
        )
    return max(found)[1]


def _reader(folder: Path) -> _Reader:
    from bmtool.models.files.checkpoint import open_config, read_info

    if (folder / "config.json").is_file():
        return _Reader(folder, folder, open_config(folder), int(read_info(folder)["max_seq_length"]))
    from bmtool.architectures.gpt import Gpt
    from bmtool.data.dataset import open_dataset
    from bmtool.data.tokenizing.tokenizers import load_tokenizer
    from bmtool.models.building.build import special_ids
    from bmtool.stages.finetune import Config

    place = open_dataset(folder).tokenizer_folder
    if place is None:
        raise MissingInputError(f"{folder}: --model takes a checkpoint, or a corpus with its tokenizer")
    tokenizer, length = load_tokenizer(place), int(Config.model_fields["max_seq_length"].default)
    config = Gpt().config(
        vocab_size=tokenizer.get_vocab_size(), max_seq_length=length, special_ids=special_ids(tokenizer, place)
    )
    return _Reader(folder, place, config, length)
