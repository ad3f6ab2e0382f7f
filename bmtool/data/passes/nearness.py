"""Similar rows within a dataset, across its splits, and to other datasets: what follows from sketches of texts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from bmtool.contracts.kinds import READABLE
from bmtool.data.passes.decide import Loss, conflicting_labels
from bmtool.data.passes.earlier import Earlier, SketchesOf
from bmtool.data.passes.near_memo import NearMemo
from bmtool.data.passes.reasons import EARLIER, NEAR
from bmtool.data.passes.split import SPLITS
from bmtool.data.similarity.edited import edited
from bmtool.data.similarity.overlap import Overlap, overlap
from bmtool.data.similarity.overlap_again import overlap_again
from bmtool.data.similarity.shingle_sets import exact_similarity
from bmtool.data.similarity.similar import Candidates, Measured, Pairs, clusters, find_candidates, keep_first

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

    from numpy.typing import NDArray

    from bmtool.contracts import Job
    from bmtool.data.passes.decide import Decisions, Rows
    from bmtool.data.passes.units import RowRules
    from bmtool.data.similarity.bands import Unit
    from bmtool.data.similarity.edited import Edited
    from bmtool.deduplicators.near import Near

#: Jaccard similarity from which a row of train gives a held-out row away, where near copies aren't looked for.
OVERLAP_THRESHOLD = 0.7

#: So many examples are kept.
EXAMPLES = 20


class _Texts:
    """Texts of rows that are numbered over earlier datasets first, then over this one."""

    def __init__(self, earlier: Sequence[Earlier], rows: Rows, names: list[str]) -> None:
        self.earlier, self.rows, self.names = earlier, rows, names
        self.borders = np.concatenate([[0], np.cumsum([len(one) for one in earlier], dtype=np.int64)])

    @property
    def settled(self) -> int:
        """How many rows are of earlier datasets."""
        return int(self.borders[-1])

    def __call__(self, rows: NDArray[np.int64]) -> pa.Array:
        places = np.searchsorted(rows, self.borders)
        parts = [
            one.texts(rows[first:end] - start)
            for one, start, first, end in zip(
                self.earlier, self.borders.tolist(), places.tolist(), places[1:].tolist(), strict=False
            )
            if first < end
        ]
        own = rows[places[-1] :] - self.settled
        return pa.concat_arrays([*parts, self.rows.texts(own, self.names)] if len(own) else parts)

    def ids(self, rows: NDArray[np.int64]) -> list[str]:
        """The ids of rows of earlier datasets, in any order."""
        which = np.searchsorted(self.borders, rows, side="right") - 1
        found = np.empty(len(rows), object)
        for index in np.unique(which).tolist():
            mine = which == index
            found[mine] = self.earlier[index].ids(rows[mine] - self.borders[index])
        return list(found)


def _texts(near: Near, rows: Rows, rules: RowRules, job: Job) -> _Texts:
    """Of all rows, those of datasets that come first included."""
    names = rules.of_kind(*READABLE)
    return _Texts([Earlier(job.inputs[f"against:{n}"].folder) for n in range(len(near.against))], rows, names)


def _alive(texts: _Texts, decisions: Decisions) -> NDArray[np.bool_]:
    return np.concatenate([np.ones(texts.settled, bool), decisions.keep])


def look_for_similar(near: Near, rows: Rows, decisions: Decisions, rules: RowRules, job: Job) -> Candidates:
    """Pairs of rows that may be similar, those of earlier datasets numbered first."""
    texts = _texts(near, rows, rules, job)
    job.console.say("looking for similar rows")
    units: list[Unit] = [*(part for one in texts.earlier for part in one.parts), *map(SketchesOf, rows.units)]
    alive = _alive(texts, decisions)
    before = NearMemo(rows, rules, near.threshold, job).compared() if not texts.earlier else None
    return find_candidates(units, threshold=near.threshold, alive=alive, settled=texts.settled, before=before)


def measure_similar(
    near: Near, rows: Rows, rules: RowRules, job: Job, pairs: tuple[NDArray[Any], NDArray[Any]]
) -> NDArray[np.float32]:
    """(P,) how similar the texts of P pairs of rows are, numbered as `look_for_similar` does."""
    return exact_similarity(*pairs, _texts(near, rows, rules, job), threshold=near.threshold)


def drop_similar(near: Near, rows: Rows, decisions: Decisions, rules: RowRules, job: Job, *, found: Measured) -> None:
    """Let every row go that is similar to one that stays, of this dataset or of an earlier one."""
    texts = _texts(near, rows, rules, job)
    settled, earlier = texts.settled, texts.earlier
    if not earlier:
        memo = NearMemo(rows, rules, near.threshold, job)
        memo.keep_compared(_alive(texts, decisions), found)
        decisions.notes += memo.names
    pairs = found.similar(near.threshold)
    kept = keep_first(settled + rows.num_rows, pairs, settled=settled)
    gone = np.flatnonzero(kept.twin >= 0)
    twin, similarity = kept.twin[gone], kept.similarity[gone].astype(np.float64)
    inside = twin >= settled
    own = Loss(NEAR, gone[inside] - settled, twin[inside] - settled, None, similarity[inside], threshold=near.threshold)
    ids = texts.ids(twin[~inside])
    old = Loss(EARLIER, gone[~inside] - settled, None, ids, similarity[~inside], threshold=near.threshold)
    _follow(decisions, own, old)
    for loss in [old, own] if earlier else [own]:
        decisions.lose(loss)
    decisions.clusters = _own_clusters(pairs, rows.num_rows, settled)


def _follow(decisions: Decisions, own: Loss, old: Loss) -> None:
    """Let copies of a row that goes now be copies of the row that it goes for: each names one that stays."""
    stands_for = np.arange(len(decisions.keep))
    if own.kept is not None:
        stands_for[own.rows] = own.kept
    for index, loss in enumerate(decisions.losses):
        if loss.kept is not None:
            # A row of an earlier dataset has no number here: its copies name the copy that it is known by.
            known = np.isin(loss.kept, old.rows)
            decisions.losses[index] = replace(loss, kept=np.where(known, loss.kept, stands_for[loss.kept]))


def _own_clusters(pairs: Pairs, num_rows: int, settled: int) -> NDArray[np.int64]:
    own = pairs.first >= settled
    among = Pairs(pairs.first[own] - settled, pairs.second[own] - settled, pairs.similarity[own], pairs.is_exact[own])
    return clusters(num_rows, among)


def report_conflicts(rows: Rows, decisions: Decisions, rules: RowRules) -> None:
    """Note how many copies had another label than the row that stays."""
    labels = rules.of_kind("label")
    if labels and decisions.losses:
        decisions.facts["conflicting_labels"] = conflicting_labels(rows, decisions.losses, labels[0])


def top_copies(rows: Rows, decisions: Decisions, *, most: int = 20) -> list[dict[str, Any]]:
    """The rows with the most copies, and how many."""
    kept = [loss.kept for loss in decisions.losses if loss.kept is not None]
    if not kept:
        return []
    row, times = np.unique(np.concatenate(kept), return_counts=True)
    top = np.lexsort((row, -times))[:most]
    return [{"kept": one, "copies": int(count)} for one, count in zip(rows.ids(row[top]), times[top], strict=True)]


def measure_overlap(
    near: Near | None, rows: Rows, decisions: Decisions, rules: RowRules, job: Job
) -> tuple[dict[str, Any] | None, list[str]]:
    """For validation and test, how many of their rows have a similar row in train, and how many an edited copy.

    With a few examples of both; a row counts once, as similar if it is. Besides, the names of the notes that were
    written. The decisions stay as they are.
    """
    threshold = near.threshold if near is not None else OVERLAP_THRESHOLD
    is_held_out = decisions.of_split(SPLITS[1]) | decisions.of_split(SPLITS[2])
    memo = NearMemo(rows, rules, threshold, job)
    similar = _overlap(rows, decisions, np.flatnonzero(is_held_out), rules, memo)
    is_held_out[similar.row] = False
    names = rules.of_kind(*READABLE)
    copies = edited(lambda mask: rows.all_texts(names, mask), decisions.of_split("train"), is_held_out)
    noted = {}
    for name in SPLITS[1:]:
        mine = decisions.of_split(name)
        if not mine.any():
            continue
        noted[name] = {
            "rows": int(mine.sum()),
            "similar": int(mine[similar.row].sum()),
            "edited": int(mine[copies.row].sum()),
            "threshold": threshold,
            "examples": _examples(similar, mine, rows),
            "edited_examples": _examples(copies, mine, rows),
        }
    return noted or None, memo.names


def _examples(found: Overlap | Edited, mine: NDArray[np.bool_], rows: Rows) -> list[list[Any]]:
    """[id, id of its twin in train, how similar they are] of the first rows of a split."""
    few = np.flatnonzero(mine[found.row])[:EXAMPLES]
    pairs = zip(rows.ids(found.row[few]), rows.ids(found.twin[few]), found.similarity[few].tolist(), strict=True)
    return [[row, twin, round(similarity, 3)] for row, twin, similarity in pairs]


def _overlap(rows: Rows, decisions: Decisions, held_out: NDArray[np.int64], rules: RowRules, memo: NearMemo) -> Overlap:
    """The held-out rows with a similar row in train; from before where nothing changed for them."""
    texts = _Texts((), rows, rules.of_kind(*READABLE))
    units: list[Unit] = [SketchesOf(unit) for unit in rows.units]
    is_train = decisions.of_split("train")
    before = memo.overlap() if len(held_out) else None
    if before is None:
        found = overlap(units, is_train, held_out, texts, threshold=memo.threshold)
    else:
        found = overlap_again(before, units, is_train, held_out, texts, threshold=memo.threshold)
    if len(held_out):
        memo.keep_overlap(is_train, held_out, found)
    return found
