"""Use a finished model on new rows: a checkpoint with torch or a bundle with onnxruntime, the same way and answers.

Shape letters: N rows, C labels, T tokens of a packed batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
import pyarrow as pa
import torch

from bmtool.contracts.kinds import INPUTS, JUDGED
from bmtool.data.examples.labelled import with_columns
from bmtool.data.examples.right_answers import placed_in
from bmtool.data.examples.targets import DRAWN_BY, answers_cut
from bmtool.data.messages import NoConversationError, asked, conversation, with_contents
from bmtool.data.rows import schema_of
from bmtool.errors import DataError
from bmtool.models.goals.one_pass import values_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from tokenizers import Tokenizer
    from torch import nn

    from bmtool.contracts import Batch, Cleaner, Columns, Examples, OnePassTask, Task
    from bmtool.data.dataset import Split

#: Tokens of one forward pass; with it, memory is bounded whatever the input is.
BATCH_TOKENS = 4096

#: Why a blank text isn't answered, whatever the task is.
NO_TEXT = "no text"


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
        """One column.

        Raises:
            DataError: there is none of that name.
        """
        if name not in self.table.column_names:
            there = ", ".join(self.table.column_names)
            raise DataError(f"split '{self.name}': there is no column '{name}'. The columns are: {there}")
        return self.table.column(name)


class Backend(Protocol):
    """What computes answers."""

    def outputs(self, batch: Batch, examples: Examples) -> Columns:
        """Results of each example of the batch, as the task gives them."""

    def values(self, batch: Batch) -> NDArray[np.float32]:
        """What a `OnePassTask` reads its answers from; of such a task only."""


class TorchModel:
    """A module on packed batches: a checkpoint in float32, or what looks like one to transformers."""

    def __init__(self, model: nn.Module, task: Task) -> None:
        """Its head must be there already."""
        self.task = task
        self.model = model

    def outputs(self, batch: Batch, examples: Examples) -> Columns:
        """Results of each example of the batch, as the task gives them."""
        with torch.inference_mode():
            return self.task.outputs(self.model, batch, examples)

    def values(self, batch: Batch) -> NDArray[np.float32]:
        """What a `OnePassTask` reads its answers from; of such a task only."""
        with torch.inference_mode():
            return values_of(cast("OnePassTask", self.task), self.model, batch)


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
    columns: dict[str, str | list[str]] = field(default_factory=dict)
    """What the training data called the task's columns: ours to theirs, several where texts were joined."""
    cleaners: tuple[Cleaner, ...] = ()
    """What was done to the texts of the training data, and is done to new ones."""
    list_separator: str | None = None
    """What stood between the words in a field of the training data's CSV."""
    batch_tokens: int = BATCH_TOKENS

    @cached_property
    def inputs(self) -> dict[str, str]:
        """The task's columns that new rows must have, name to kind: `text`, or `words`."""
        return dict(self.task.asked)

    @cached_property
    def output_columns(self) -> list[str]:
        """What an answer consists of: `label` and `score`, or `tags` and `scores`."""
        return list(self.predict(self.table([]))[0].column_names)

    @property
    def shows_input(self) -> bool:
        """Whether answers are read beside their input: tags beside the words that a text was cut into."""
        return "words" in self.inputs.values()

    def __call__(self, rows: Sequence[Any]) -> list[dict[str, Any]]:
        """The answer for each row: `{"label": ..., "score": ...}`, or `{"words": ..., "tags": ..., "scores": ...}`.

        A row is a text; for a tagging task a list of words, or a text that is cut at white space; for a task that
        reads several columns a mapping of them, which may be given to the others too.

        Raises:
            DataError: one of them isn't what the task reads, or has no text.
        """
        if isinstance(rows, str):
            raise DataError("give a list of texts, not a single text: model([text])")
        inputs = [self.as_row(row) for row in rows]
        for place, (given, row) in enumerate(zip(inputs, rows, strict=True)):
            if fault := self.fault(given):
                raise DataError(f"item {place} {'has' if fault == NO_TEXT else 'is'} {fault}: {row!r:.80}")
        asked = [row for row in inputs if row is not None]
        answers = self.answers(asked)[0]
        if self.shows_input:
            answers = [{**row, **answer} for row, answer in zip(asked, answers, strict=True)]
        return answers

    @property
    def wanted(self) -> str:
        """What a row must be, for messages."""
        if len(self.inputs) > 1:
            return f"a mapping with {' and '.join(self.inputs)}"
        if "messages" in self.inputs.values():
            return "a text, or messages that ask something"
        return "a text or a list of words" if self.shows_input else "a text"

    def answers(
        self, rows: Sequence[Mapping[str, Any]], places: Sequence[int] | None = None
    ) -> tuple[list[dict[str, Any]], dict[str, int]]:
        """Plain values for rows of `as_row`, and what was cut. Scores have six digits: a float32 has no more.

        `places` are those of the rows in what they are from, where they aren't all of it: tokens are drawn by them.
        """
        table, cut = self.predict(self.table(rows), places)
        return [{name: _shorten(value) for name, value in row.items()} for row in table.to_pylist()], cut

    def as_row(self, value: Any) -> dict[str, Any] | None:
        """`value` as the columns that the task reads; None where it is something else.

        It is a mapping of them, or where there is but one its value alone.
        """
        if not isinstance(value, Mapping):
            value = {next(iter(self.inputs)): value} if len(self.inputs) == 1 else {}
        row = {name: _as_input(value.get(name), kind) for name, kind in self.inputs.items()}
        return None if any(one is None for one in row.values()) else row

    def fault(self, row: Mapping[str, Any] | None) -> str:
        """Why what `as_row` gave can't be answered; nothing if it can."""
        if row is None:
            return f"not {self.wanted}"
        return NO_TEXT if any(_is_blank(row[name], kind) for name, kind in self.inputs.items()) else ""

    def table(self, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
        """Rows of `as_row` as a table."""
        return pa.Table.from_pylist([dict(row) for row in rows], schema=schema_of(self.inputs))

    def predict(self, rows: pa.Table, places: Sequence[int] | None = None) -> tuple[pa.Table, dict[str, int]]:
        """(what the task shows of each row, in their order; what was cut, by reason)."""
        if not rows.num_rows:
            one = {name: _as_input("a", kind) for name, kind in self.inputs.items()}
            return self.predict(self.table([one]))[0].slice(0, 0), {}
        examples = self.examples(rows)
        if places is not None:
            examples = with_columns(examples, {DRAWN_BY: np.asarray(places, np.int64)})
        parts, order = [], []
        for batch in self.batches(examples):
            parts.append(self.backend.outputs(batch, examples))
            order.append(batch.rows)
        outputs = self.task.merged(in_order(parts, order), rows.num_rows)
        table = self.task.present(outputs, self.labels)
        if self.task.of_kind("answers"):
            table = placed_in(table, rows.column(self.task.of_kind("text")[-1]))
        return table, {**examples.cut, **answers_cut(outputs)}

    def examples(self, rows: pa.Table) -> Examples:
        """Clean and encode the columns that the task is asked about, and what else of its input there is."""
        names = [name for name in self.task.of_kind(*INPUTS) if name in self.inputs or name in rows.column_names]
        columns = {name: rows.column(name).combine_chunks() for name in names}
        for name in names:
            kind = self.task.columns[name]
            for cleaner in self.cleaners if kind in JUDGED else ():
                texts = columns[name]
                columns[name] = cleaner.clean(texts) if kind == "text" else with_contents(texts, cleaner.clean)
        return self.task.examples(Rows(pa.table(columns), self.labels), self.tokenizer, self.max_seq_length)

    def batches(self, examples: Examples) -> Iterator[Batch]:
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


def _as_input(value: Any, kind: str) -> Any:
    """A text, a list of words, or messages that wait for an answer; None where it is none of these."""
    if kind == "messages":
        return _unanswered(value)
    if kind != "words":
        return value if isinstance(value, str) else None
    if isinstance(value, str):
        return value.split()
    return list(value) if isinstance(value, list | tuple) and all(isinstance(w, str) for w in value) else None


def _is_blank(value: Any, kind: str) -> bool:
    """Whether there is nothing to answer: white space alone, or a conversation that ends so; a tool may say nothing."""
    if kind == "messages":
        return value[-1]["role"] != "tool" and not value[-1]["content"].strip()
    return not "".join(value).strip()


def _unanswered(value: Any) -> list[dict[str, str]] | None:
    """A conversation without the answer at its end; a text is one of the user's. None where nothing was asked."""
    try:
        messages = conversation([{"role": "user", "content": value}] if isinstance(value, str) else value)
    except NoConversationError:
        return None
    return asked(messages or []) or None


def _shorten(value: Any) -> Any:
    if isinstance(value, list):
        return [_shorten(member) for member in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def in_order(parts: list[Columns], order: list[NDArray[np.int64]]) -> Columns:
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
