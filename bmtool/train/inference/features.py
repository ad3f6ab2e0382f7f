"""Texts as vectors by a checkpoint that stays as it is.

Shape letters: D hidden width, N examples.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from bmtool.data.examples.labelled import with_columns
from bmtool.data.examples.texts import encoded_texts
from bmtool.data.tokenizing.tokenizers import load_tokenizer
from bmtool.models.families.batches import to_device
from bmtool.models.families.family import family_of
from bmtool.models.families.packed import document_rows
from bmtool.models.families.pooling import document_vectors
from bmtool.models.files.checkpoint import open_model, read_info
from bmtool.models.goals.supervised import pack_documents
from bmtool.models.heads.parameters import head_parameters
from bmtool.train.inference.predict import BATCH_TOKENS
from bmtool.train.inference.reading import Readout, read_once
from bmtool.train.machine.device import set_up
from bmtool.train.machine.world import World
from bmtool.train.order.plan import in_order

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from transformers import PreTrainedModel

    from bmtool.contracts import Batch, Examples, Goal, Job
    from bmtool.data.dataset import Split
    from bmtool.models.families.pooling import Pooling


def head_inputs(model: PreTrainedModel, goal: Goal, examples: Examples, job: Job, name: str) -> Examples:
    """The examples with the column `features` (N, D) in float32: what the model's own head reads of each."""
    world = World.current()
    device, _ = set_up(job.runtime, world.local_rank, world.local_size)
    module: torch.nn.Module = model
    module.to(device)
    goal = Readout(goal=goal, read=_rows)
    head = head_parameters(model)
    weights = {name: tensor for name, tensor in model.state_dict().items() if name not in head}
    features = read_once(model, weights, goal, examples, job, label=f"encoding {name}")
    return with_columns(examples, {"features": features})


def _rows(model: torch.nn.Module, batch: Batch) -> NDArray[np.float32]:
    rows: NDArray[np.float32] = document_rows(model, batch).float().cpu().numpy()
    return rows


class Encoder:
    """The backbone of a checkpoint in float32, whatever head it has; a new pooler, where there is none, isn't used."""

    def __init__(self, folder: Path, job: Job, pooling: Pooling) -> None:
        """Open the checkpoint in `folder` on the job's device."""
        self.device, _ = set_up(job.runtime)
        model: torch.nn.Module = open_model(folder, "AutoModel")
        self.model = model.to(self.device)
        self.tokenizer = load_tokenizer(folder)
        self.max_seq_length = int(read_info(folder)["max_seq_length"])
        self.pooling, self.console = pooling, job.console

    def features(self, split: Split, columns: Sequence[str]) -> tuple[NDArray[np.float32], int]:
        """The texts of one column, or of two read as a pair, as vectors (N, D); and how many were cut."""
        examples = encoded_texts(split, list(columns), self.tokenizer, self.max_seq_length, {})
        parts: list[Any] = []
        lengths, pads = examples.packed_lengths, family_of(self.model).pads
        order, borders = in_order(lengths, np.arange(len(examples)), BATCH_TOKENS, by_length=pads)
        with self.console.progress(f"encoding {split.name}", total=len(examples)) as progress:
            for first, last in itertools.pairwise(borders):
                parts.append(self._vectors(examples, order[first:last]))
                progress.advance(int(last - first))
        return np.concatenate(parts)[np.argsort(order)], examples.cut["texts_cut"]

    def _vectors(self, examples: Examples, rows: NDArray[np.int64]) -> Any:
        batch = to_device(pack_documents(examples, rows), self.device)
        with torch.inference_mode():
            return document_vectors(self.model, batch, self.pooling).cpu().numpy()
