"""Whether a bundle is its checkpoint: both asked about the same rows, in a process that wrote neither.

`python -m bmtool.models.bundles.parity CHECKPOINT BUNDLE ROWS.arrow TOLERANCE NUMBERS.json`
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pyarrow as pa
import torch

from bmtool.artifacts.files import write_json
from bmtool.contracts import OnePassTask
from bmtool.models.bundles.fresh import die_with_parent
from bmtool.models.bundles.parity_of_texts import compare_texts
from bmtool.models.files.inference import in_order

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bmtool.contracts import Batch, Columns, Examples
    from bmtool.models.decoding.writing import Writing
    from bmtool.models.files.inference import Predictor, TorchModel


@dataclass(frozen=True)
class Compared:
    """A batch, asked twice."""

    wanted: Columns
    found: Columns
    difference: float
    """The largest between two values that answers are read from; NaN if one isn't finite"""
    num_others: int = 0
    """How many answers are others, although no tie explains it; where it is known"""


def compare(checkpoint: Predictor, bundle: Predictor, rows: pa.Table, *, tolerance: float) -> dict[str, Any]:
    """How far the bundle's answers are from the checkpoint's, as plain numbers.

    `same_tokens` says whether both read the same; `max_abs_difference` is None if a value isn't finite. `same_answers`
    is the share of rows whose labels, texts, places and ranks are all the same, and `other_answers` how many aren't
    although no tie within `tolerance` explains it.
    """
    examples = checkpoint.examples(rows)
    both = zip(checkpoint.batches(examples), bundle.batches(bundle.examples(rows)), strict=True)
    parts, order, has_same_tokens = [], [], True
    for batch, other in both:
        has_same_tokens &= torch.equal(batch.input_ids, other.input_ids)
        parts.append(_compared(checkpoint, bundle, batch, examples, tolerance))
        order.append(batch.rows)
    wanted, found = (
        checkpoint.task.merged(in_order(outputs, order), rows.num_rows)
        for outputs in ([part.wanted for part in parts], [part.found for part in parts])
    )
    is_same = same_answers(wanted, found, rows.num_rows)
    largest = float(np.max([part.difference for part in parts]))
    num_others = sum(part.num_others for part in parts)
    return {
        "rows": rows.num_rows,
        "same_tokens": has_same_tokens,
        "max_abs_difference": largest if np.isfinite(largest) else None,
        "same_answers": float(is_same.mean()),
        "other_answers": num_others if largest <= tolerance else int((~is_same).sum()),
        "tolerance": tolerance,
    }


def _compared(checkpoint: Predictor, bundle: Predictor, batch: Batch, examples: Examples, tolerance: float) -> Compared:
    task = checkpoint.task
    if isinstance(task, OnePassTask):
        # Where no value moves by more than the tolerance, only a tie can have another answer.
        wanted, found = checkpoint.backend.values(batch), bundle.backend.values(batch)
        difference = float(np.abs(wanted.astype(np.float64) - found).max(initial=0.0))
        return Compared(task.read(wanted, batch, examples), task.read(found, batch, examples), difference)
    mine, theirs = (cast("TorchModel", one.backend).model for one in (checkpoint, bundle))
    longest = cast("Writing", task).max_new_tokens
    return Compared(*compare_texts(mine, theirs, batch, examples, max_new_tokens=longest, tolerance=tolerance))


def same_answers(wanted: Columns, found: Columns, num_rows: int) -> NDArray[np.bool_]:
    """(N,) which rows have the same answer twice: numbers that were measured, as probabilities, may differ."""
    is_same = np.ones(num_rows, dtype=bool)
    for name, mine in wanted.items():
        pairs = zip(mine, found[name], strict=True)
        is_same &= [_is_measured(one) or np.array_equal(one, other) for one, other in pairs]
    return is_same


def _is_measured(value: Any) -> bool:
    return np.asarray(value).dtype.kind == "f"


def main(checkpoint: str, bundle: str, rows: str, tolerance: str, numbers: str) -> None:
    """Open both, read the rows, write the numbers."""
    from bmtool.models.files.opening import load

    with pa.memory_map(rows) as source:
        inputs = pa.ipc.open_stream(source).read_all()
    compared = compare(load(checkpoint), load(bundle), inputs, tolerance=float(tolerance))
    write_json(Path(numbers), compared)


if __name__ == "__main__":
    die_with_parent()
    main(*sys.argv[1:])
