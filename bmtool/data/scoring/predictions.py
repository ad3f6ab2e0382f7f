"""Answers that `evaluate` kept, read back: what metrics judge, and rows of two evaluations put beside each other.

Shape letters: N rows, C labels.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bmtool.data.dataset import open_split
from bmtool.errors import DataError, MissingInputError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from bmtool.contracts import Columns


@dataclass(frozen=True)
class Pairing:
    """Rows of two tables that are the same ones."""

    first: NDArray[np.int64]
    """Their numbers in the one table, in its order"""
    second: NDArray[np.int64]
    """The same rows in the other one"""
    num_only_first: int
    num_only_second: int
    num_judged_otherwise: int
    """Rows of both that aren't paired: what is right differs"""


def read_predictions(folder: Path) -> pa.Table:
    """The table that `bmtool.data.scoring.answers.write_predictions` wrote.

    Raises:
        MissingInputError: it isn't there.
        DataError: it is damaged.
    """
    try:
        split = open_split(folder)
    except FileNotFoundError:
        raise MissingInputError(f"{folder}: no predictions are here") from None
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{folder}: the description of the predictions can't be read: {error!r}") from None
    return pa.Table.from_batches(list(split.batches()), split.schema)


def pair_rows(first: pa.Table, second: pa.Table) -> Pairing:
    """Find the rows with the same id in both; of several with one id the first is the first, and so on."""
    places = {key: place for place, key in enumerate(_keys(second))}
    keys = _keys(first)
    pairs = np.array([(place, places[key]) for place, key in enumerate(keys) if key in places], dtype=np.int64).reshape(
        -1, 2
    )
    num_common = len(pairs)
    if "reference" in first.column_names and "reference" in second.column_names and num_common:
        one = first.column("reference").take(pa.array(pairs[:, 0])).to_pylist()
        other = second.column("reference").take(pa.array(pairs[:, 1])).to_pylist()
        pairs = pairs[np.array([a == b for a, b in zip(one, other, strict=True)], bool)]
    return Pairing(
        pairs[:, 0],
        pairs[:, 1],
        num_only_first=len(keys) - num_common,
        num_only_second=len(places) - num_common,
        num_judged_otherwise=num_common - len(pairs),
    )


def _keys(table: pa.Table) -> list[tuple[str, int]]:
    """(id, how many rows before had it) of each row."""
    seen: Counter[str] = Counter()
    keys = []
    for row in table.column("id").to_pylist():
        keys.append((row, seen[row]))
        seen[row] += 1
    return keys


def has_labels(table: pa.Table) -> bool:
    """Whether what is right is names of labels, so that their order has to be known."""
    if "prediction" not in table.column_names:
        return False
    reference, prediction = (table.column(name).type for name in ("reference", "prediction"))
    return bool(pa.types.is_string(reference) or (pa.types.is_list(reference) and pa.types.is_list(prediction)))


def outputs_of(table: pa.Table, labels: tuple[str, ...]) -> Columns:
    """What metrics judge, from N rows of predictions as `bmtool.data.scoring.answers.predictions_table` keeps them.

    `nll` (N,) and `targets` come from the probabilities of one label a row; of other answers they weren't kept.

    Args:
        table: kept predictions.
        labels: the C labels in the order of `scores`, by which names become ids.

    Raises:
        DataError: an answer is none of `labels`.
    """
    if "prediction" not in table.column_names:
        return {name: _plain(table.column(name)) for name in table.column_names if name != "id"}
    reference, prediction = table.column("reference"), table.column("prediction")
    if pa.types.is_string(reference.type):
        return _of_labels(table, labels)
    if not pa.types.is_list(reference.type):
        return {"references": _plain(reference).astype(np.float64), "predictions": _plain(prediction)}
    if not pa.types.is_list(prediction.type):
        return {"references": reference.to_pylist(), "predictions": prediction.to_pylist()}
    scores = table.column("scores")
    lengths, answered, right = (pc.list_value_length(one).to_numpy() for one in (scores, prediction, reference))
    if np.array_equal(lengths, answered) and np.array_equal(lengths, right):  # a score for each word's tag
        return {
            "references": _split(_ids(pc.list_flatten(reference), labels), reference),
            "predictions": _split(_ids(pc.list_flatten(prediction), labels), prediction),
        }
    return {
        "references": _sets(reference, labels),
        "predictions": _sets(prediction, labels),
        "probabilities": _matrix(scores, labels),
    }


def in_order(table: pa.Table, labels: tuple[str, ...], wanted: tuple[str, ...]) -> pa.Table:
    """Kept predictions with the scores of all `labels` in the order of `wanted`, which are the same ones."""
    if labels == wanted or "scores" not in table.column_names:
        return table
    scores = table.column("scores")
    lengths = pc.list_value_length(scores).to_numpy()
    if not (lengths == len(labels)).all():  # of words: a score is that of the tag that was given
        return table
    matrix = _matrix(scores, labels)[:, [labels.index(label) for label in wanted]]
    offsets = pa.array(np.arange(0, matrix.size + 1, len(wanted)), pa.int32())
    sorted_scores = pa.ListArray.from_arrays(offsets, pa.array(matrix.reshape(-1), pa.float32()))
    return table.set_column(table.column_names.index("scores"), "scores", sorted_scores)


def _of_labels(table: pa.Table, labels: tuple[str, ...]) -> Columns:
    references = _ids(table.column("reference"), labels)
    outputs: Columns = {"references": references, "predictions": _ids(table.column("prediction"), labels)}
    if "scores" in table.column_names:
        outputs["probabilities"] = _matrix(table.column("scores"), labels)
        right = outputs["probabilities"][np.arange(len(references)), references].astype(np.float64)
        with np.errstate(divide="ignore"):  # a probability too small for float32: then there is no mean, and it is said
            outputs["nll"] = -np.log(right)
        outputs["targets"] = np.ones(len(references), np.int64)
    return outputs


def _plain(column: pa.ChunkedArray) -> Any:
    if pa.types.is_list(column.type):
        return [np.asarray(row) for row in column.to_pylist()]
    return column.to_numpy()


def _ids(names: pa.ChunkedArray, labels: tuple[str, ...]) -> NDArray[np.int64]:
    ids = pc.index_in(names, value_set=pa.array(labels, pa.string()))
    if ids.null_count:
        strange = names.filter(pc.is_null(ids))[0]
        raise DataError(f"the label '{strange}' is none of those that the checkpoint knows: {', '.join(labels)}")
    return np.asarray(ids.to_numpy(), np.int64)


def _split(flat: NDArray[np.int64], like: pa.ChunkedArray) -> list[NDArray[np.int64]]:
    lengths = pc.list_value_length(like).to_numpy()
    return np.split(flat, np.cumsum(lengths)[:-1]) if len(lengths) else []


def _sets(column: pa.ChunkedArray, labels: tuple[str, ...]) -> NDArray[np.bool_]:
    """(N, C) which labels each row has."""
    lengths = pc.list_value_length(column).to_numpy()
    sets = np.zeros((len(lengths), len(labels)), bool)
    sets[np.repeat(np.arange(len(lengths)), lengths), _ids(pc.list_flatten(column), labels)] = True
    return sets


def _matrix(scores: pa.ChunkedArray, labels: tuple[str, ...]) -> NDArray[np.float32]:
    """(N, C)."""
    return np.asarray(pc.list_flatten(scores).to_numpy(), np.float32).reshape(-1, len(labels))
