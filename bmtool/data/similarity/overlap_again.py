"""Measure overlap again after rows came or went: of held-out rows that share no band with these nothing changed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bmtool.data.similarity.again import most_rows
from bmtool.data.similarity.bands import Sketches
from bmtool.data.similarity.overlap import Overlap, overlap
from bmtool.data.similarity.touched import are_touched, rows_touched, touched_by

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pyarrow as pa
    from numpy.typing import NDArray

    from bmtool.data.similarity.again import Moved
    from bmtool.data.similarity.bands import Unit


@dataclass(frozen=True)
class OverlapBefore:
    """The held-out rows of an earlier run, by their numbers then."""

    moved: Moved
    is_train: NDArray[np.bool_]
    """(M,)"""
    row: NDArray[np.int64]
    """(Q,) the held-out rows, ascending."""
    twin: NDArray[np.int64]
    """(Q,) a similar row of train; -1: there is none."""
    similarity: NDArray[np.float32]
    is_exact: NDArray[np.bool_]


@dataclass(frozen=True)
class _Held:
    sketches: NDArray[np.uint16]

    def __len__(self) -> int:
        return len(self.sketches)

    def load(self) -> NDArray[np.uint16]:
        return self.sketches


def overlap_again(
    before: OverlapBefore,
    units: Sequence[Unit],
    is_train: NDArray[np.bool_],
    held_out: NDArray[np.int64],
    texts: Callable[[NDArray[np.int64]], pa.Array],
    *,
    threshold: float,
) -> Overlap:
    """What `overlap` would find."""
    sketches = Sketches(units)
    touched = before.moved.touched(sketches, before.is_train, is_train)
    if touched is None or len(held_out) > most_rows(sketches):
        return overlap(units, is_train, held_out, texts, threshold=threshold)
    twin, similarity = np.full(len(sketches), -1, np.int64), np.zeros(len(sketches), np.float32)
    is_exact, is_known = np.zeros(len(sketches), np.bool_), np.zeros(len(sketches), np.bool_)
    place = before.moved.place
    stays = place[before.row] >= 0
    row, old_twin = place[before.row[stays]], before.twin[stays]
    is_known[row] = True
    twin[row] = np.where(old_twin >= 0, place[old_twin], -1)
    similarity[row], is_exact[row] = before.similarity[stays], before.is_exact[stays]
    again = held_out[~is_known[held_out] | are_touched(sketches.rows(held_out), touched)]
    twin[again] = -1
    around = rows_touched(sketches, touched_by(sketches.rows(again)))
    around = np.union1d(around[is_train[around]], again)
    if len(around) > most_rows(sketches):
        return overlap(units, is_train, held_out, texts, threshold=threshold)
    asked = np.searchsorted(around, again)
    held: list[Unit] = [_Held(sketches.rows(around))]
    new = overlap(held, is_train[around], asked, lambda rows: texts(around[rows]), threshold=threshold)
    row = around[new.row]
    twin[row], similarity[row], is_exact[row] = around[new.twin], new.similarity, new.is_exact
    found = held_out[twin[held_out] >= 0]
    return Overlap(found, twin[found], similarity[found], is_exact[found])
