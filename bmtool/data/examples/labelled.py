"""Labelled rows on their way into a model: encode and cut texts and words, map labels by name.

Shape letters: N examples, W words.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pyarrow as pa

from bmtool.config.recorded import read_back
from bmtool.contracts.kinds import INPUTS
from bmtool.data.examples.overlapping import Windows
from bmtool.data.examples.right_answers import right_texts
from bmtool.data.examples.texts import encoded_texts, framed_spans, room_of
from bmtool.data.tokenizing.encode_words import encode_words
from bmtool.errors import DataError, MissingInputError
from bmtool.registry import TASKS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from tokenizers import Tokenizer

    from bmtool.contracts import Columns, Examples, Task
    from bmtool.data.dataset import Dataset, Split


def encoded_rows(split: Split, task: Task, tokenizer: Tokenizer, max_seq_length: int) -> Examples:
    """Encode the task's one or two columns of text; its answers become `references`, if the split has them.

    They are ids (N,), for `labels` booleans (N, C), for `number` float64 (N,). What is too long is cut and counted
    (`bmtool.data.examples.texts`).

    Raises:
        DataError: an answer is missing, or the tokenizer can't take two texts.
    """
    answer = answer_column(task)
    columns = {"references": _answers(split, answer, task.columns[answer])} if answer in split.schema.names else {}
    return encoded_texts(split, task.of_kind("text"), tokenizer, max_seq_length, columns)


def answer_column(task: Task) -> str:
    """The task's column that holds what it is to answer."""
    return next(name for name, kind in task.columns.items() if kind not in INPUTS)


def _answers(split: Split, column: str, kind: str) -> Any:
    if kind == "number":
        values = split.column(column).combine_chunks()
        if values.null_count:
            raise DataError(f"split '{split.name}': {values.null_count} values of column '{column}' are missing")
        return values.to_numpy(zero_copy_only=False).astype(np.float64)
    if kind == "answers":
        return right_texts(split.column(column))
    ids = _label_ids(split, column)
    if kind == "label":
        return ids
    lengths = _list_lengths(split, column)
    if kind == "tags":
        return split_rows(ids, lengths)
    sets = np.zeros((len(lengths), len(split.labels)), bool)
    sets[np.repeat(np.arange(len(lengths)), lengths), ids] = True
    return sets


def encoded_words(
    split: Split, words: str, tags: str, tokenizer: Tokenizer, max_seq_length: int, *, stride: int
) -> Examples:
    """Encode the column `words`; the tag ids of `tags` become `references`, if the split has that column.

    A long row is several examples: windows that have `stride` tokens in common. Each word is judged once, by its first
    token, in the window where that one has most context. Columns: `row`, the row of each example; `word_tokens`, of
    each word that is judged there the place of its first token in the example; `references`, the tags of these words.

    Raises:
        DataError: a tag is missing, or a row has more or fewer tags than words.
    """
    encoded = encode_words(split.column(words), tokenizer)
    num_words = np.diff(encoded.word_offsets)
    full = np.diff(encoded.offsets)
    windows = Windows.over(full, np.full(len(full), room_of(tokenizer, max_seq_length)), stride)
    judged_in = windows.best_for(np.repeat(np.arange(len(full)), num_words), encoded.word_starts)
    judged = np.bincount(judged_in, minlength=len(windows.rows))
    columns: Columns = {"row": windows.rows}
    columns["word_tokens"] = split_rows(encoded.word_starts - windows.starts[judged_in], judged)
    if tags in split.schema.names:
        _check_lengths(split, num_words, tags)
        columns["references"] = split_rows(_label_ids(split, tags), judged)
    starts = encoded.offsets[windows.rows] + windows.starts
    return framed_spans(split, encoded.ids, starts, windows.lengths, tokenizer, columns, {})


def _check_lengths(split: Split, num_words: NDArray[np.int64], tags: str) -> None:
    """Raise DataError unless each row has as many tags as words."""
    num_tags = _list_lengths(split, tags)
    wrong = np.flatnonzero(num_tags != num_words)
    if wrong.size:
        row = int(wrong[0])
        raise DataError(
            f"split '{split.name}': row {row} has {num_words[row]} words and {num_tags[row]} {tags}; "
            f"{wrong.size} rows differ. Each word needs one tag"
        )


def merged_words(outputs: Columns, num_rows: int) -> Columns:
    """Results of windows, each from left to right, as those of their rows: words in order, sums of `nll`, `targets`."""
    rows = outputs["row"]
    borders = np.searchsorted(rows, np.arange(1, num_rows))
    merged: Columns = {}
    for name, values in outputs.items():
        if isinstance(values, list):
            of_rows = np.split(np.arange(len(values)), borders) if num_rows else []
            merged[name] = [np.concatenate([values[window] for window in windows]) for windows in of_rows]
        elif name != "row":
            merged[name] = np.bincount(rows, weights=values, minlength=num_rows)
    return merged


def _list_lengths(split: Split, column: str) -> NDArray[np.int64]:
    return np.asarray(split.column(column).combine_chunks().value_lengths(), dtype=np.int64)


def _label_ids(split: Split, column: str) -> NDArray[np.int64]:
    """The label ids of a column, flat for a list column."""
    values = split.column(column).combine_chunks()
    is_list = pa.types.is_list(values.type) or pa.types.is_large_list(values.type)
    flat = values.flatten() if is_list else values
    ids = flat.cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False)
    missing = int((ids < 0).sum()) + (values.null_count if is_list else 0)
    if missing:
        raise DataError(f"split '{split.name}': {missing} values of column '{column}' are missing")
    return np.asarray(ids, dtype=np.int64)


def with_columns(examples: Examples, columns: Columns, **changes: Any) -> Examples:
    """`examples` with some columns replaced; `changes` replaces other fields."""
    return replace(examples, columns={**examples.columns, **columns}, **changes)


def with_labels(examples: Examples, labels: tuple[str, ...]) -> Examples:
    """The same examples with `references` as ids of `labels`, mapped by name and never by place.

    Raises:
        DataError: rows carry a label that isn't among `labels`.
    """
    references = examples.columns.get("references")
    if references is None or examples.labels == labels:
        return with_columns(examples, {}, labels=labels)
    return with_columns(examples, {"references": _renamed(references, examples.labels, labels)}, labels=labels)


def _renamed(references: Any, names: tuple[str, ...], labels: tuple[str, ...]) -> Any:
    """References by ids of `names` as references by ids of `labels`: (N,), a list of N arrays, or booleans (N, C)."""
    if isinstance(references, list):
        return split_rows(mapped_by_name(joined(references), names, labels), [len(row) for row in references])
    if references.dtype != np.bool_:
        return mapped_by_name(references, names, labels)
    rows, ids = np.nonzero(references)
    sets = np.zeros((len(references), len(labels)), bool)
    sets[rows, mapped_by_name(ids, names, labels)] = True
    return sets


def mapped_by_name(ids: NDArray[np.int64], names: tuple[str, ...], labels: tuple[str, ...]) -> NDArray[np.int64]:
    """Ids of `names` as ids of `labels`.

    Raises:
        DataError: one that occurs isn't among `labels`.
    """
    places = {label: place for place, label in enumerate(labels)}
    table = np.asarray([places.get(name, -1) for name in names], dtype=np.int64)
    strange = [names[i] for i in np.unique(ids) if table[i] < 0]
    if strange:
        raise DataError(
            f"the data has labels that the model was not trained on: {', '.join(strange)}. It knows {', '.join(labels)}"
        )
    return np.asarray(table[ids])


def word_positions(words: Sequence[NDArray[np.int64]], starts: NDArray[np.int64]) -> NDArray[np.int64]:
    """Where words are in a packed batch, (W,).

    Args:
        words: for each of N examples the places of its words' first tokens.
        starts: (N,) where each example's own tokens start in the batch, behind the prefix.
    """
    lengths = np.asarray([len(places) for places in words], dtype=np.int64)
    return np.asarray(np.repeat(starts, lengths) + joined(words))


def split_rows(flat: NDArray[Any], lengths: Sequence[int] | NDArray[np.int64]) -> list[NDArray[Any]]:
    """`flat` as one array a row, each of the given length."""
    return np.split(flat, np.cumsum(lengths)[:-1]) if len(lengths) else []


def joined(rows: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """The rows' values one after the other, (W,)."""
    return np.concatenate(rows) if len(rows) else np.zeros(0, dtype=np.int64)


def references_of(split: Split, task: Task, labels: tuple[str, ...]) -> Any:
    """The true answer of each row, as `encoded_rows` has them, by ids of `labels`: for words a list of N arrays.

    Raises:
        DataError: an answer is missing, or isn't among `labels`.
    """
    column = answer_column(task)
    references = _answers(split, column, task.columns[column])
    return references if not task.has_labels else _renamed(references, split.labels, labels)


def same_answer(train: Any, like: Any) -> Any:
    """The commonest answer of `train` for everything that `like` has one for: both are as `references_of` gives them.

    Of labels the most frequent, the smallest of equals; of several labels a row those that most rows have; of numbers
    the mean.
    """
    if isinstance(like, list):
        best = int(np.bincount(joined(train), minlength=1).argmax())
        return [np.full(len(row), best, dtype=np.int64) for row in like]
    if like.dtype == np.bool_:
        return np.repeat(train.mean(axis=0, keepdims=True) > 0.5, len(like), axis=0)
    if like.dtype.kind == "f":
        return np.full(len(like), train.mean())
    return np.full(len(like), np.bincount(train, minlength=1).argmax(), dtype=np.int64)


def task_of(dataset: Dataset) -> Task:
    """The task that a dataset was prepared for.

    Raises:
        MissingInputError: it is a corpus; or it was made by another version, with settings that this one doesn't know.
    """
    if dataset.task is None:
        raise MissingInputError(
            f"{dataset.folder}: this dataset is a corpus; a labelled one (with a task) is needed here"
        )
    return cast("Task", read_back(TASKS, dataset.task, dataset.folder, "Prepare it again with --force"))
