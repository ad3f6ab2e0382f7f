"""Labelled rows on their way into a model: encode and cut texts and words, map labels by name.

Shape letters: N examples, W words.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from bmtool.config.model import Choose
from bmtool.contracts import Columns, Examples
from bmtool.data.encode import encode, encode_words, special_affixes
from bmtool.data.tokens import InMemoryTokens
from bmtool.errors import DataError, MissingInputError
from bmtool.registry import TASKS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from tokenizers import Tokenizer

    from bmtool.contracts import Task
    from bmtool.data.dataset import Dataset, Split


def encoded_texts(split: Split, text: str, label: str, tokenizer: Tokenizer, max_seq_length: int) -> Examples:
    """Encode the column `text`; the label ids of `label` become `references`, if the split has that column.

    Texts of more than `max_seq_length` tokens, special tokens included, lose their end, and are counted as cut.

    Raises:
        DataError: a label is missing.
    """
    ids, offsets = encode(split.column(text), tokenizer)
    columns = {"references": _label_ids(split, label)} if label in split.schema.names else {}
    return _examples(split, ids, offsets, tokenizer, max_seq_length, columns)


def encoded_words(split: Split, words: str, tags: str, tokenizer: Tokenizer, max_seq_length: int) -> Examples:
    """Encode the column `words`; the tag ids of `tags` become `references`, if the split has that column.

    The column `word_tokens` holds for each word the place of its first token in the example, or -1 where that token was
    cut off (`words_cut`).

    Raises:
        DataError: a tag is missing, or a row has more or fewer tags than words.
    """
    encoded = encode_words(split.column(words), tokenizer)
    num_words = np.diff(encoded.word_offsets)
    references: dict[str, Any] = {}
    if tags in split.schema.names:
        num_tags = _list_lengths(split, tags)
        wrong = np.flatnonzero(num_tags != num_words)
        if wrong.size:
            row = int(wrong[0])
            raise DataError(
                f"split '{split.name}': row {row} has {num_words[row]} words and {num_tags[row]} {tags}; "
                f"{wrong.size} rows differ. Each word needs one tag"
            )
        references["references"] = split_rows(_label_ids(split, tags), num_tags)
    examples = _examples(split, encoded.ids, encoded.offsets, tokenizer, max_seq_length, references)
    is_cut = encoded.word_starts >= np.repeat(examples.lengths, num_words)
    word_tokens = split_rows(np.where(is_cut, -1, encoded.word_starts), num_words)
    cut = {**examples.cut, "words_cut": int(is_cut.sum())}
    return with_columns(examples, {"word_tokens": word_tokens}, cut=cut)


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


def _examples(
    split: Split,
    ids: NDArray[Any],
    offsets: NDArray[np.int64],
    tokenizer: Tokenizer,
    max_seq_length: int,
    columns: dict[str, Any],
) -> Examples:
    prefix, suffix = special_affixes(tokenizer)
    room = max_seq_length - len(prefix) - len(suffix)
    full = np.diff(offsets)
    starts, lengths = offsets[:-1], np.minimum(full, room)
    if not prefix and not suffix:
        # A text without any token would be no document at all: it is one special token, put behind all others.
        starts = np.where(full == 0, len(ids), starts)
        lengths = np.maximum(lengths, 1)
        ids = np.append(ids, np.asarray([_any_special(tokenizer)], dtype=ids.dtype))
    cut = {"texts_cut": int((full > room).sum()), "tokens_cut": int((full - np.minimum(full, room)).sum())}
    return Examples(InMemoryTokens(ids), starts, lengths, tuple(prefix), tuple(suffix), columns, split.labels, cut)


def _any_special(tokenizer: Tokenizer) -> int:
    return min((i for i, token in tokenizer.get_added_tokens_decoder().items() if token.special), default=0)


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
    flat = joined(references) if isinstance(references, list) else references
    mapped: Any = mapped_by_name(flat, examples.labels, labels)
    if isinstance(references, list):
        mapped = split_rows(mapped, [len(row) for row in references])
    return with_columns(examples, {"references": mapped}, labels=labels)


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


def word_positions(
    words: Sequence[NDArray[np.int64]], starts: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """Where words are in a packed batch.

    Args:
        words: for each of N examples the places of its words' first tokens, -1 for a word the model doesn't see.
        starts: (N,) where each example's own tokens start in the batch, behind the prefix.

    Returns:
        positions (seen words,), and whether each word is seen (W,).
    """
    lengths = np.asarray([len(places) for places in words], dtype=np.int64)
    flat = joined(words)
    seen = flat >= 0
    return (np.repeat(starts, lengths) + flat)[seen], seen


def split_rows(flat: NDArray[Any], lengths: Sequence[int] | NDArray[np.int64]) -> list[NDArray[Any]]:
    """`flat` as one array a row, each of the given length."""
    return np.split(flat, np.cumsum(lengths)[:-1]) if len(lengths) else []


def joined(rows: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """The rows' values one after the other, (W,)."""
    return np.concatenate(rows) if len(rows) else np.zeros(0, dtype=np.int64)


def references_of(split: Split, task: Task, labels: tuple[str, ...]) -> Any:
    """The true label of each row as ids of `labels`: (N,) for texts, a list of N arrays for words.

    Raises:
        DataError: a label is missing, or isn't among `labels`.
    """
    column = next(name for name, kind in task.columns.items() if kind in ("label", "tags"))
    flat = mapped_by_name(_label_ids(split, column), split.labels, labels)
    if task.columns[column] == "label":
        return flat
    return split_rows(flat, _list_lengths(split, column))


def most_frequent(references: Any, num_labels: int) -> int:
    """The label id that occurs most; the smallest of equals."""
    flat = joined(references) if isinstance(references, list) else references
    return int(np.bincount(flat, minlength=num_labels).argmax())


def repeated(value: int, like: Any) -> Any:
    """`value` wherever `like` has a label."""
    if isinstance(like, list):
        return [np.full(len(row), value, dtype=np.int64) for row in like]
    return np.full(len(like), value, dtype=np.int64)


def task_of(dataset: Dataset) -> Task:
    """The task that a dataset was prepared for.

    Raises:
        MissingInputError: it is a corpus.
    """
    if dataset.task is None:
        raise MissingInputError(
            f"{dataset.folder}: this dataset is a corpus; a labelled one (with a task) is needed here"
        )
    task: Task = Choose(TASKS)(dataset.task)
    return task
