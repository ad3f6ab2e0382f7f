"""From logits to answers: predictions with their probabilities, the likelihood of the truth, and tables of them.

Shape letters: N examples, C labels, T tokens of a packed batch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from bmtool.data.examples.labelled import joined, split_rows, word_positions
from bmtool.data.storage import SplitWriter, features, write_split_info

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from bmtool.contracts import Columns, Examples


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


def judge_sets(logits: NDArray[np.float32], rows: NDArray[np.int64], examples: Examples) -> Columns:
    """From logits (N, C), each a yes or no: `predictions` bool (N, C), where yes is likelier, and `probabilities`.

    With labels also `references` (N, C), `nll` (N,), the mean over the labels, and `targets`.

    Raises:
        ValueError: there isn't one row of C logits for each text.
    """
    _check_shape(logits, len(rows), examples)
    wide = logits.astype(np.float64)
    outputs: Columns = {"predictions": wide > 0, "probabilities": (1 / (1 + np.exp(-wide))).astype(np.float32)}
    if "references" in examples.columns:
        references = examples.columns["references"][rows]
        outputs["references"] = references
        outputs["nll"] = np.logaddexp(0.0, np.where(references, -wide, wide)).mean(axis=1)
        outputs["targets"] = np.ones(len(rows), dtype=np.int64)
    return outputs


def judge_numbers(
    logits: NDArray[np.float32], rows: NDArray[np.int64], examples: Examples, mean: float, scale: float
) -> Columns:
    """From logits (N, 1): `predictions` (N,), `mean` plus so many times `scale`; with numbers also `references`.

    `nll` (N,) is half the squared error in units of `scale`, of a normal distribution's likelihood all but a constant.

    Raises:
        ValueError: there isn't one number for each text.
    """
    if logits.shape != (len(rows), 1):
        raise ValueError(f"the head gave logits of shape {logits.shape}, not {(len(rows), 1)}")
    standardised = logits[:, 0].astype(np.float64)
    outputs: Columns = {"predictions": mean + scale * standardised}
    if "references" in examples.columns:
        references = examples.columns["references"][rows]
        outputs["references"] = references
        outputs["nll"] = 0.5 * (standardised - (references - mean) / scale) ** 2
        outputs["targets"] = np.ones(len(rows), dtype=np.int64)
    return outputs


def judge_words(logits: NDArray[np.float32], cu_seq_lens: Any, rows: NDArray[np.int64], examples: Examples) -> Columns:
    """From logits (T, C): lists of N arrays `predictions` and `scores`, a value a word, and `row` (N,) of each example.

    With tags also `references` (the same shape), `nll` (N,) summed over words, and `targets` (N,), how many these are.
    `cu_seq_lens` (N + 1) says where documents start, as a tensor or an array.

    Raises:
        ValueError: there isn't one row of C logits for each token.
    """
    borders = np.asarray(cu_seq_lens.tolist(), dtype=np.int64)
    _check_shape(logits, int(borders[-1]), examples)
    words = [examples.columns["word_tokens"][row] for row in rows]
    lengths = [len(places) for places in words]
    positions = word_positions(words, borders[:-1] + len(examples.prefix))
    log_probabilities = log_softmax(logits[positions])
    scores = np.exp(log_probabilities.max(axis=-1, initial=-np.inf)).astype(np.float32)
    outputs: Columns = {
        "row": examples.columns["row"][rows],
        "predictions": split_rows(log_probabilities.argmax(axis=-1), lengths),
        "scores": split_rows(scores, lengths),
    }
    if "references" in examples.columns:
        references = [examples.columns["references"][row] for row in rows]
        nll = -log_probabilities[np.arange(len(positions)), joined(references)]
        outputs["references"] = references
        rows_of_words = np.repeat(np.arange(len(rows)), lengths)
        outputs["nll"] = np.bincount(rows_of_words, weights=nll, minlength=len(rows))
        outputs["targets"] = np.asarray(lengths, dtype=np.int64)
    return outputs


def _check_shape(logits: NDArray[np.float32], num_rows: int, examples: Examples) -> None:
    wanted = (num_rows, len(examples.labels))
    if logits.shape != wanted:
        raise ValueError(f"the head gave logits of shape {logits.shape}, not {wanted}")


def shown(values: Any, labels: tuple[str, ...]) -> pa.Array:
    """Answers or references of N rows as people read them, and as Arrow holds them.

    Label ids become names, a list of them for one value a word; of (N, C) booleans those that are true. Numbers, texts
    and lists of texts stay what they are.
    """
    if isinstance(values, list) and not all(isinstance(row, np.ndarray) for row in values):
        return pa.array(values, pa.string() if all(isinstance(row, str) for row in values) else pa.list_(pa.string()))
    names = pa.array(labels, pa.string())
    if isinstance(values, list):
        return _list_array(names.take(pa.array(joined(values), pa.int64())), values)
    if values.dtype == np.bool_:
        return _list_array(
            names.take(pa.array(np.nonzero(values)[1], pa.int64())), [np.flatnonzero(row) for row in values]
        )
    return names.take(pa.array(values, pa.int64())) if values.dtype.kind in "iu" else pa.array(values)


def _list_array(flat: pa.Array, like: Sequence[NDArray[Any]]) -> pa.Array:
    offsets = np.cumsum([0, *(len(row) for row in like)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), flat)


def text_table(outputs: Columns, labels: tuple[str, ...]) -> pa.Table:
    """Columns `label` and `score` (its probability) of N texts."""
    best = outputs["probabilities"][np.arange(len(outputs["predictions"])), outputs["predictions"]]
    return pa.table({"label": shown(outputs["predictions"], labels), "score": pa.array(best, pa.float32())})


def set_table(outputs: Columns, labels: tuple[str, ...]) -> pa.Table:
    """Columns `labels`, those that fit, and `scores`, the probability of each of all labels, of N texts."""
    scores = _floats(outputs["probabilities"])
    return pa.table({"labels": shown(outputs["predictions"], labels), "scores": scores})


def word_table(outputs: Columns, labels: tuple[str, ...]) -> pa.Table:
    """Columns `tags` and `scores` (their probabilities), a list a text."""
    return pa.table({"tags": shown(outputs["predictions"], labels), "scores": _floats(outputs["scores"])})


def answer_table(outputs: Columns) -> pa.Table:
    """Columns `answer`, `score` and `start` (null where there is no answer) of N questions."""
    starts = outputs["starts"]
    return pa.table(
        {
            "answer": pa.array(outputs["predictions"], pa.string()),
            "score": _floats(outputs["scores"]),
            "start": pa.array(starts, pa.int64(), mask=starts < 0),
        }
    )


def vector_table(outputs: Columns) -> pa.Table:
    """The column `embedding`, a list of D float32 of each of N texts."""
    vectors = outputs["embedding"]
    flat = pa.array(vectors.reshape(-1), pa.float32())
    return pa.table({"embedding": pa.FixedSizeListArray.from_arrays(flat, vectors.shape[1])})


def _floats(rows: Any) -> pa.Array:
    """A column of float32 from (N,), null where infinite; a list column from (N, C), or from a list of N arrays."""
    if isinstance(rows, np.ndarray) and rows.ndim == 1:
        return pa.array(rows, pa.float32(), mask=~np.isfinite(rows))
    flat = np.concatenate(list(rows)) if len(rows) else np.zeros(0, dtype=np.float32)
    return _list_array(pa.array(flat, pa.float32()), rows)


def predictions_table(ids: pa.ChunkedArray, outputs: Columns, labels: tuple[str, ...]) -> pa.Table:
    """What `evaluate` keeps of each row: id, reference, prediction, and scores where there are any.

    `scores` are the probabilities of all labels in their order, or of each word's tag. Outputs without predictions
    (sums of an objective, ranks) are kept as they are.
    """
    if "predictions" not in outputs:
        lists = {name: values for name, values in outputs.items() if isinstance(values, list)}
        plain = {name: pa.array(values) for name, values in outputs.items() if name not in lists}
        nested = {name: _list_array(pa.array(joined(values)), values) for name, values in lists.items()}
        return pa.table({"id": ids, **plain, **nested})
    columns = {
        "id": ids,
        "reference": shown(outputs["references"], labels),
        "prediction": shown(outputs["predictions"], labels),
    }
    scores = outputs.get("probabilities", outputs.get("scores"))
    return pa.table(columns if scores is None else {**columns, "scores": _floats(scores)})


def write_predictions(folder: Path, table: pa.Table, fingerprint: str) -> None:
    """Write `table` as the folder `folder`, which `datasets.load_from_disk` opens."""
    writer = SplitWriter(folder, table.schema)
    for batch in table.to_batches():
        writer.write(batch)
    shards = writer.close()
    write_split_info(folder, shards, table.num_rows, described=features(table.schema, {}), fingerprint=fingerprint)
