"""Use a finished model on new rows: a checkpoint with torch or a bundle with onnxruntime, the same way and answers.

Shape letters: N rows, C labels, T tokens of a packed batch.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa
import torch

from bmtool.errors import DataError
from bmtool.models.checkpoint import open_model
from bmtool.models.packed import document_logits, token_logits

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from tokenizers import Tokenizer

    from bmtool.contracts import Batch, Cleaner, Columns, Examples, Task
    from bmtool.data.dataset import Split

#: Tokens of one forward pass; with it, memory is bounded whatever the input is.
BATCH_TOKENS = 4096


@dataclass(frozen=True)
class Rows:
    """A table in memory that looks like the split of a dataset."""

    table: pa.Table
    labels: tuple[str, ...]
    name: str = "input"

    @classmethod
    def first(cls, split: Split, num_rows: int) -> Rows:
        """The first so many rows of a dataset's split."""
        columns = {name: split.column(name).slice(0, num_rows) for name in split.schema.names}
        return cls(pa.table(columns), split.labels, split.name)

    @property
    def num_rows(self) -> int:
        """N."""
        return int(self.table.num_rows)

    @property
    def schema(self) -> pa.Schema:
        """The columns."""
        return self.table.schema

    def column(self, name: str) -> pa.ChunkedArray:
        """One column."""
        return self.table.column(name)


class Backend(Protocol):
    """What computes logits."""

    def logits(self, batch: Batch) -> NDArray[np.float32]:
        """(N, C) of a document head, (T, C) of a token head."""


class TorchModel:
    """A checkpoint in float32, on packed batches."""

    def __init__(self, folder: Path, task: Task, labels: tuple[str, ...]) -> None:
        """Open the checkpoint in `folder`; its head must be there already."""
        self.model = open_model(folder, task.auto_class, labels)
        self._head = document_logits if task.head == "document" else token_logits

    def logits(self, batch: Batch) -> NDArray[np.float32]:
        """(N, C) of a document head, (T, C) of a token head."""
        with torch.inference_mode():
            logits = self._head(self.model, batch)
        return np.asarray(logits.float().cpu().numpy(), dtype=np.float32)


@dataclass(frozen=True)
class Predictor:
    """A model with all that its answers depend on. Call it with texts."""

    folder: Path
    fingerprint: str
    task: Task
    labels: tuple[str, ...]
    max_seq_length: int
    tokenizer: Tokenizer
    backend: Backend
    columns: dict[str, str] = field(default_factory=dict)
    """What the training data called the task's columns: ours to theirs."""
    cleaners: tuple[Cleaner, ...] = ()
    """What was done to the texts of the training data, and is done to new ones."""
    batch_tokens: int = BATCH_TOKENS

    @property
    def input_column(self) -> str:
        """The task's column that new rows must have: `text`, or `words`."""
        return next(name for name, role in self.task.columns.items() if role in ("text", "words"))

    @cached_property
    def output_columns(self) -> list[str]:
        """What an answer consists of: `label` and `score`, or `tags` and `scores`."""
        return list(self.predict(self.array([]))[0].column_names)

    @property
    def takes_words(self) -> bool:
        """Whether a row is a list of words and not a text."""
        return self.task.columns[self.input_column] == "words"

    def __call__(self, texts: Sequence[str | Sequence[str]]) -> list[dict[str, Any]]:
        """The answer for each text: `{"label": ..., "score": ...}`, or `{"words": ..., "tags": ..., "scores": ...}`.

        A tagging task takes lists of words; a text is cut at white space.

        Raises:
            DataError: one of them is neither a text nor a list of words.
        """
        if isinstance(texts, str):
            raise DataError("give a list of texts, not a single text: model([text])")
        inputs = [self.as_input(text) for text in texts]
        wrong = next((i for i, value in enumerate(inputs) if value is None), None)
        if wrong is not None:
            kind = "a text or a list of words" if self.takes_words else "a text"
            raise DataError(f"item {wrong} is not {kind}: {texts[wrong]!r:.80}")
        answers = self.answers(inputs)[0]
        if self.takes_words:
            answers = [{"words": words, **answer} for words, answer in zip(inputs, answers, strict=True)]
        return answers

    def answers(self, inputs: Sequence[Any]) -> tuple[list[dict[str, Any]], dict[str, int]]:
        """Plain values for texts or lists of words, and what was cut. Scores have six digits: a float32 has no more."""
        table, cut = self.predict(self.array(inputs))
        return [{name: _shorten(value) for name, value in row.items()} for row in table.to_pylist()], cut

    def as_input(self, value: Any) -> Any:
        """`value` as the task takes it, a text or a list of words; None where it is neither."""
        if not self.takes_words:
            return value if isinstance(value, str) else None
        if isinstance(value, str):
            return value.split()
        return list(value) if isinstance(value, list | tuple) and all(isinstance(w, str) for w in value) else None

    def array(self, inputs: Sequence[Any]) -> pa.Array:
        """Texts or lists of words as an Arrow array."""
        return pa.array(inputs, pa.list_(pa.string()) if self.takes_words else pa.string())

    def predict(self, inputs: pa.Array) -> tuple[pa.Table, dict[str, int]]:
        """(what the task shows of each input, in their order; what was cut, by reason)."""
        if not len(inputs):
            return self.predict(self.array([["a"] if self.takes_words else "a"]))[0].slice(0, 0), {}
        examples = self.examples(inputs)
        parts, order = [], []
        for batch in self._batches(examples):
            parts.append(self.task.read(self.backend.logits(batch), batch, examples))
            order.append(batch.rows)
        return self.task.present(_in_order(parts, order), self.labels), dict(examples.cut)

    def logits(self, inputs: pa.Array) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Logits of all inputs in their order, (all rows, C), and (N + 1,) where those of each input start."""
        examples = self.examples(inputs)
        by_row: dict[int, NDArray[np.float32]] = {}
        for batch in self._batches(examples):
            logits = self.backend.logits(batch)
            borders = batch.cu_seq_lens.tolist() if self.task.head == "token" else list(range(len(batch.rows) + 1))
            for place, row in enumerate(batch.rows.tolist()):
                by_row[row] = logits[borders[place] : borders[place + 1]]
        pieces = [by_row[row] for row in range(len(examples))]
        offsets = np.cumsum([0, *(len(piece) for piece in pieces)])
        return np.concatenate([np.zeros((0, len(self.labels)), np.float32), *pieces]), offsets

    def examples(self, inputs: pa.Array) -> Examples:
        """Clean and encode."""
        if not self.takes_words:
            for cleaner in self.cleaners:
                inputs = cleaner.clean(inputs)
        rows = Rows(pa.table({self.input_column: inputs}), self.labels)
        return self.task.examples(rows, self.tokenizer, self.max_seq_length)

    def _batches(self, examples: Examples) -> Iterator[Batch]:
        """Batches of at most `batch_tokens` tokens (or one document), shortest documents first: little padding."""
        lengths = examples.packed_lengths
        order = np.argsort(lengths, kind="stable")
        start = 0
        while start < len(order):
            end = start + 1
            while end < len(order) and int(lengths[order[end]]) * (end + 1 - start) <= self.batch_tokens:
                end += 1
            yield self.task.collate(examples, order[start:end], np.random.default_rng(0))
            start = end


def _shorten(value: Any) -> Any:
    if isinstance(value, list):
        return [_shorten(member) for member in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _in_order(parts: list[Columns], order: list[NDArray[np.int64]]) -> Columns:
    """Join the batches' results and put them back into the order of the rows."""
    back = np.argsort(np.concatenate(order), kind="stable")
    joined: Columns = {}
    for name, first in parts[0].items():
        values = [part[name] for part in parts]
        if isinstance(first, list):
            flat = [row for part in values for row in part]
            joined[name] = [flat[i] for i in back]
        else:
            joined[name] = np.concatenate(values)[back]
    return joined
