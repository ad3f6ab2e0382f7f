"""Rows of two texts that a model reads apart, each with its own special tokens: an example is two documents.

Shape letters: N examples.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bmtool.contracts import Examples
from bmtool.data.examples.labelled import references_of
from bmtool.data.examples.texts import framed, joined_spans
from bmtool.data.tokenizing.encode import encode
from bmtool.data.tokenizing.plain_encoding import special_affixes
from bmtool.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa
    from numpy.typing import NDArray
    from tokenizers import Tokenizer

    from bmtool.contracts import Task
    from bmtool.data.dataset import Split


def one_or_two_documents(split: Split, task: Task, tokenizer: Tokenizer, max_seq_length: int) -> Examples:
    """Encode the task's first text and, if the split has it, its second; each is cut at `max_seq_length` tokens.

    Numbers that the task reads become `references` (N,), if the split has them.
    With both, the column `second_starts` (N,) says where in an example its second document begins, and `first_ids` and
    `second_ids` (N,) are numbers of texts, the same for the same text.

    Raises:
        DataError: a text of a pair has no token, and the tokenizer puts none around it.
    """
    columns: dict[str, Any] = {}
    if any(name in split.schema.names for name in task.of_kind("number")):
        columns["references"] = references_of(split, task, ())
    first, second = task.of_kind("text")
    if second not in split.schema.names:
        ids, offsets = encode(split.column(first), tokenizer)
        return framed(split, ids, offsets, tokenizer, max_seq_length, columns)
    ids_of_texts = {"first_ids": same_texts(split.column(first)), "second_ids": same_texts(split.column(second))}
    return _joined(split, (first, second), tokenizer, max_seq_length, {**columns, **ids_of_texts})


def _joined(
    split: Split, names: Sequence[str], tokenizer: Tokenizer, max_seq_length: int, columns: dict[str, Any]
) -> Examples:
    prefix, suffix = special_affixes(tokenizer)
    room = max_seq_length - len(prefix) - len(suffix)
    encoded = [encode(split.column(name), tokenizer) for name in names]
    full = np.stack([np.diff(offsets) for _, offsets in encoded])
    kept = np.minimum(full, room)
    if not prefix and not suffix and not kept.all():
        raise DataError(
            f"split '{split.name}': {int((kept == 0).any(axis=0).sum())} rows have a text without any token, and this "
            f"tokenizer puts none around it, so that there is nothing to compare"
        )
    spans = [(ids, offsets[:-1], lengths) for (ids, offsets), lengths in zip(encoded, kept, strict=True)]
    tokens, lengths = joined_spans(spans, (*suffix, *prefix))
    columns["second_starts"] = len(prefix) + kept[0] + len(suffix)
    cut = {"texts_cut": int((full > kept).sum()), "tokens_cut": int((full - kept).sum())}
    starts = np.cumsum(lengths) - lengths
    return Examples(tokens, starts, lengths, tuple(prefix), tuple(suffix), columns, split.labels, cut)


def same_texts(texts: pa.ChunkedArray) -> NDArray[np.int64]:
    """A number for each text, (N,): the same for the same text."""
    indices = texts.combine_chunks().dictionary_encode().indices
    return np.asarray(indices.to_numpy(zero_copy_only=False), dtype=np.int64)
