"""Labelled rows on their way into a model and back: encode them, judge logits, show predictions.

Shape letters: N examples, C labels, T tokens of a packed batch, W words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from bmtool.contracts import Columns, Examples
from bmtool.data.encode import encode, encode_words, special_affixes
from bmtool.data.tokens import InMemoryTokens
from bmtool.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from bmtool.data.dataset import Split
    from tokenizers import Tokenizer

#: The tag of a word that belongs to no span; also what a word gets that the model couldn't see.
OUTSIDE = "O"


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

    The column `word_tokens` holds for each word the place of its first token in the example, or -1 where the model
    doesn't see it: behind the cut (`words_cut`), or without any token (`words_without_tokens`).

    Raises:
        DataError: a tag is missing, or a row has more or fewer tags than words.
    """
    encoded = encode_words(split.column(words), tokenizer)
    num_words = np.diff(encoded.word_offsets)
    first_tokens = np.split(encoded.word_starts, encoded.word_offsets[1:-1])
    columns: dict[str, Any] = {"word_tokens": first_tokens}
    if tags in split.schema.names:
        flat = _label_ids(split, tags)
        num_tags = np.asarray(split.column(tags).combine_chunks().value_lengths(), dtype=np.int64)
        wrong = np.flatnonzero(num_tags != num_words)
        if wrong.size:
            row = int(wrong[0])
            raise DataError(
                f"split '{split.name}': row {row} has {num_words[row]} words and {num_tags[row]} {tags}; "
                f"{wrong.size} rows differ. Each word needs one tag"
            )
        columns["references"] = np.split(flat, np.cumsum(num_tags)[:-1])
    examples = _examples(split, encoded.ids, encoded.offsets, tokenizer, max_seq_length, columns)
    return _hide_cut_words(examples)


def _label_ids(split: Split, column: str) -> NDArray[np.int64]:
    """The label ids of a column, flat for a list column."""
    values = split.column(column).combine_chunks()
    flat = values.flatten() if pa.types.is_list(values.type) or pa.types.is_large_list(values.type) else values
    ids = flat.cast(pa.int64()).fill_null(-1).to_numpy(zero_copy_only=False)
    missing = int(values.null_count + (ids < 0).sum())
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
    if "id" in split.schema.names:
        columns = {"id": split.column("id"), **columns}
    return Examples(InMemoryTokens(ids), starts, lengths, tuple(prefix), tuple(suffix), columns, split.labels, cut)


def _any_special(tokenizer: Tokenizer) -> int:
    return min((i for i, token in tokenizer.get_added_tokens_decoder().items() if token.special), default=0)


def _hide_cut_words(examples: Examples) -> Examples:
    words: list[NDArray[np.int64]] = examples.columns["word_tokens"]
    nothing = sum(int((places < 0).sum()) for places in words)
    shown = [
        np.where(places < length, places, -1) for places, length in zip(words, examples.lengths.tolist(), strict=True)
    ]
    behind = sum(int((places < 0).sum()) for places in shown) - nothing
    cut = {**examples.cut, "words_cut": behind, "words_without_tokens": nothing}
    return with_columns(examples, {"word_tokens": shown}, cut=cut)


def with_columns(examples: Examples, columns: Columns, **changes: Any) -> Examples:
    """`examples` with some columns replaced; `changes` replaces other fields."""
    from dataclasses import replace

    return replace(examples, columns={**examples.columns, **columns}, **changes)


def with_labels(examples: Examples, labels: tuple[str, ...]) -> Examples:
    """The same examples with `references` as ids of `labels`, mapped by name and never by place.

    Raises:
        DataError: rows carry a label that isn't among `labels`.
    """
    references = examples.columns.get("references")
    if references is None or examples.labels == labels:
        return with_columns(examples, {}, labels=labels)
    known = {label: place for place, label in enumerate(labels)}
    table = np.asarray([known.get(label, -1) for label in examples.labels], dtype=np.int64)
    mapped = [table[row] for row in references] if isinstance(references, list) else table[references]
    used = np.unique(np.concatenate(references) if isinstance(references, list) else references)
    strange = [examples.labels[i] for i in used if table[i] < 0]
    if strange:
        raise DataError(
            f"the data has labels that the model was not trained on: {', '.join(strange)}. It knows {', '.join(labels)}"
        )
    return with_columns(examples, {"references": mapped}, labels=labels)


def log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Log-probabilities over the last axis, in float64."""
    shifted = logits.astype(np.float64) - logits.max(axis=-1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True)))


def judge_texts(logits: NDArray[np.float32], rows: NDArray[np.int64], examples: Examples) -> Columns:
    """From logits (N, C): `predictions` (N,), `probabilities` (N, C); with labels `references`, `nll`, `targets` too.

    Raises:
        ValueError: there isn't one row of C logits for each text.
    """
    _check_shape(logits, len(rows), examples)
    log_probabilities = log_softmax(logits)
    outputs: Columns = {
        "predictions": log_probabilities.argmax(axis=-1),
        "probabilities": np.exp(log_probabilities).astype(np.float32),
    }
    if "references" in examples.columns:
        references = examples.columns["references"][rows]
        outputs["references"] = references
        outputs["nll"] = -log_probabilities[np.arange(len(rows)), references]
        outputs["targets"] = np.ones(len(rows), dtype=np.int64)
    return outputs


def judge_words(logits: NDArray[np.float32], cu_seq_lens: Any, rows: NDArray[np.int64], examples: Examples) -> Columns:
    """From logits (T, C): lists of N arrays `predictions` and `scores`, a value a word.

    With tags also `references` (the same shape), `nll` (N,) summed over the words that the model saw, and `targets`
    (N,), how many those are. `cu_seq_lens` (N + 1) says where documents start, as a tensor or an array.

    Raises:
        ValueError: there isn't one row of C logits for each token.
    """
    borders = np.asarray(cu_seq_lens.tolist(), dtype=np.int64)
    _check_shape(logits, int(borders[-1]), examples)
    words = [examples.columns["word_tokens"][row] for row in rows]
    positions, seen, ends = word_positions(words, borders[:-1] + len(examples.prefix))
    log_probabilities = log_softmax(logits[positions])
    outside = examples.labels.index(OUTSIDE) if OUTSIDE in examples.labels else 0
    predictions = np.full(len(seen), outside, dtype=np.int64)
    scores = np.zeros(len(seen), dtype=np.float32)
    predictions[seen] = log_probabilities.argmax(axis=-1)
    scores[seen] = np.exp(log_probabilities.max(axis=-1, initial=-np.inf))
    outputs: Columns = {"predictions": np.split(predictions, ends[:-1]), "scores": np.split(scores, ends[:-1])}
    if "references" in examples.columns:
        references = [examples.columns["references"][row] for row in rows]
        nll = np.zeros(len(seen))
        nll[seen] = -log_probabilities[np.arange(len(positions)), np.concatenate(references)[seen]]
        outputs["references"] = references
        outputs["nll"] = np.diff(np.concatenate([[0.0], np.cumsum(nll)])[np.concatenate([[0], ends])])
        outputs["targets"] = np.diff(np.concatenate([[0], np.cumsum(seen)])[np.concatenate([[0], ends])])
    return outputs


def word_positions(
    words: Sequence[NDArray[np.int64]], starts: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_], NDArray[np.int64]]:
    """Where words are in a packed batch.

    Args:
        words: for each of N examples the places of its words' first tokens, -1 for a word the model doesn't see.
        starts: (N,) where each example's own tokens start in the batch, behind the prefix.

    Returns:
        positions (seen words,), whether each word is seen (W,), and where each example's words end (N,).
    """
    lengths = np.asarray([len(places) for places in words], dtype=np.int64)
    flat = np.concatenate(words) if words else np.zeros(0, dtype=np.int64)
    seen = flat >= 0
    return (np.repeat(starts, lengths) + flat)[seen], seen, np.cumsum(lengths)


def _check_shape(logits: NDArray[np.float32], num_rows: int, examples: Examples) -> None:
    wanted = (num_rows, len(examples.labels))
    if logits.shape != wanted:
        raise ValueError(f"the head gave logits of shape {logits.shape}, not {wanted}")


def _names(values: Any, labels: tuple[str, ...]) -> pa.Array:
    """Label names for label ids, a list column for one value a word."""
    names = pa.array(labels, pa.string())
    if not isinstance(values, list):
        return names.take(pa.array(values, pa.int64()))
    flat = np.concatenate(values) if values else np.zeros(0, dtype=np.int64)
    return _list_array(names.take(pa.array(flat, pa.int64())), values)


def _list_array(flat: pa.Array, like: Sequence[NDArray[Any]]) -> pa.Array:
    offsets = np.cumsum([0, *(len(row) for row in like)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), flat)


def text_table(outputs: Columns, labels: tuple[str, ...]) -> pa.Table:
    """Columns `label` and `score` (its probability) of N texts."""
    best = outputs["probabilities"][np.arange(len(outputs["predictions"])), outputs["predictions"]]
    return pa.table({"label": _names(outputs["predictions"], labels), "score": pa.array(best, pa.float32())})


def word_table(outputs: Columns, labels: tuple[str, ...]) -> pa.Table:
    """Columns `tags` and `scores` (their probabilities), a list a text."""
    return pa.table({"tags": _names(outputs["predictions"], labels), "scores": _floats(outputs["scores"])})


def _floats(rows: Any) -> pa.Array:
    """A list column of float32 from an array (N, C), or from a list of N arrays."""
    flat = np.concatenate(list(rows)) if len(rows) else np.zeros(0, dtype=np.float32)
    return _list_array(pa.array(flat, pa.float32()), rows)


def predictions_table(ids: pa.ChunkedArray, outputs: Columns, labels: tuple[str, ...]) -> pa.Table:
    """What `evaluate` keeps of each row: id, reference, prediction, scores.

    For texts `scores` are the probabilities of all labels in their order, for words the probability of each word's tag.
    Outputs without predictions (those of an objective) are kept as they are.
    """
    if "predictions" not in outputs:
        plain = {name: pa.array(values) for name, values in outputs.items() if not isinstance(values, list)}
        return pa.table({"id": ids, **plain})
    scores = outputs["probabilities"] if "probabilities" in outputs else outputs["scores"]
    return pa.table(
        {
            "id": ids,
            "reference": _names(outputs["references"], labels),
            "prediction": _names(outputs["predictions"], labels),
            "scores": _floats(scores),
        }
    )
