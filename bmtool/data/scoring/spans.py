"""Spans in tagged words: `B-PER I-PER O` holds one person of two words."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bmtool.data.scoring.label_counts import flat_labels

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from bmtool.contracts import Columns


#: What a tag says of its word's place in a span, before its type: B first, I and M inside, E and L last, S and U alone.
#: These are the letters of IOB, BIOES, BMES and BILOU.
PLACES, FIRST, LAST = "BIMELSU", "BSU", "ELSU"


def make_spans(labels: tuple[str, ...]) -> bool:
    """Whether tags divide words into spans: one begins with B- or I-, or is O, which is outside of any."""
    return "O" in labels or _have_places(labels)


def span_counts(outputs: Columns, labels: tuple[str, ...]) -> NDArray[np.float64]:
    """(N, 3) right, predicted and true spans of each row; right ones have the same first word, last word and type."""
    references, predictions, rows = flat_labels(outputs)
    true_starts, true_ends, true_types = spans(references, rows, labels)
    starts, ends, types = spans(predictions, rows, labels)
    shared, ours, theirs = np.intersect1d(starts, true_starts, assume_unique=True, return_indices=True)
    right = shared[(ends[ours] == true_ends[theirs]) & (types[ours] == true_types[theirs])]
    num_rows = len(outputs["references"])
    columns = [np.bincount(rows[places], minlength=num_rows) for places in (right, starts, true_starts)]
    return np.stack(columns, axis=1).astype(np.float64)


def spans(
    tags: NDArray[np.int64], rows: NDArray[np.int64], labels: tuple[str, ...]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """First word, last word and type of each span, in order, by the rules of conlleval and, for E- and S-, seqeval.

    A span starts at B-X or S-X, and also at any other tag of type X whose word doesn't go on from one of type X: behind
    E-X or S-X nothing goes on. A tag without such a letter (as in part-of-speech data) is read as I-. Spans don't reach
    over rows.

    Args:
        tags: (W,) label ids of all rows' words, one row after the other.
        rows: (W,) the row of each word.
        labels: what the ids mean.
    """
    are_placed = _have_places(labels)
    places, kinds = zip(*(_place_and_kind(label, is_placed=are_placed) for label in labels), strict=True)
    type_ids = {kind: place for place, kind in enumerate(sorted({kind for kind in kinds if kind}))}
    types = np.asarray([type_ids.get(kind, -1) for kind in kinds], dtype=np.int64)[tags]
    begins = np.asarray([place in FIRST for place in places], dtype=bool)[tags]
    ends = np.asarray([place in LAST for place in places], dtype=bool)[tags]
    goes_on = np.zeros(len(tags), dtype=bool)
    goes_on[1:] = (types[1:] == types[:-1]) & (rows[1:] == rows[:-1]) & ~begins[1:] & ~ends[:-1]
    starts = np.flatnonzero((types >= 0) & ~goes_on)
    last = np.flatnonzero((types >= 0) & ~np.append(goes_on[1:], False))
    return starts, last, types[starts]


def _have_places(labels: tuple[str, ...]) -> bool:
    """Whether the letters before a dash are `PLACES`: every scheme has a B- or an I-."""
    return any(label.startswith(("B-", "I-")) for label in labels)


def _place_and_kind(label: str, *, is_placed: bool) -> tuple[str, str]:
    """(letter, type) of a tag; no type where it is outside of any span."""
    letter, dash, kind = label.partition("-")
    if is_placed and dash and letter in PLACES:
        return letter, kind
    return "I", "" if label == "O" else label
