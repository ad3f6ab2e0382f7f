"""Texts without labels for a labelled dataset: drawn from a corpus, without what would give the dataset's rows away.

Shape letters: N texts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from bmtool.contracts import Ledger
from bmtool.data.similarity.contamination import Contamination, TestRows
from bmtool.data.similarity.fingerprints import text_hashes
from bmtool.data.text.documents import text_buffers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from bmtool.data.dataset import Dataset, Split

#: The splits whose rows must not be learned from, not even without their labels.
_HELD_OUT = ("validation", "test")


def draw_texts(corpus: Split, labelled: Dataset, *, max_texts: int, seed: int) -> tuple[pa.Table, Ledger]:
    """The column `text` of at most `max_texts` rows of `corpus`, in their order, and what became of the others.

    What gives away a validation or test row of `labelled`, by the rules of `decontaminate`, is left out, and so is what
    train has already, but for case and white space. Of the test split only texts are read.
    """
    ledger = Ledger(rows_in=corpus.num_rows)
    rows = np.arange(corpus.num_rows)
    if len(rows) > max_texts:
        rng = np.random.Generator(np.random.Philox(key=seed))
        rows = np.sort(rng.choice(rows, size=max_texts, replace=False, shuffle=False))
    ledger.drop("not drawn", corpus.num_rows - len(rows))
    texts = _as_strings(corpus.column("text").take(pa.array(rows)))
    found = Contamination.of(_held_out(labelled)).hits(*text_buffers(texts))
    gives_away = found.row >= 0
    for number, name in enumerate(_HELD_OUT):
        ledger.drop(f"like a {name} row", int((found.test_set == number).sum()))
    is_known = np.isin(text_hashes(texts), text_hashes(_texts(labelled["train"]))) & ~gives_away
    ledger.drop("has a label", int(is_known.sum()))
    kept = texts.filter(pa.array(~(gives_away | is_known)))
    ledger.rows_out = len(kept)
    ledger.check()
    return pa.table({"text": kept}), ledger


def _held_out(labelled: Dataset) -> Iterator[TestRows]:
    """Rows by the name of their split; one that isn't there has none."""
    for name in _HELD_OUT:
        texts = _texts(labelled[name]) if name in labelled.splits else pa.array([], pa.string())
        yield TestRows(name, texts, pa.array([""] * len(texts), pa.string()))


def _texts(split: Split) -> pa.Array:
    return _as_strings(split.column("text"))


def _as_strings(column: pa.ChunkedArray) -> pa.Array:
    joined = column.combine_chunks()
    return joined if pa.types.is_string(joined.type) else joined.cast(pa.large_string())


def most_confident(probabilities: NDArray[np.float64], shares: NDArray[np.float64], keep: float) -> NDArray[np.int64]:
    """Which of N texts are learned from, ascending: of those that got the same label, the surest.

    Of each label it is the share `keep` of its own texts, since a model is sure of some labels more often than of
    others (CBST, Zou et al. 2018, "Unsupervised domain adaptation via class-balanced self-training"); and no more than
    `keep` of what it would have if all N were shared out by `shares`, since what a model answers too often is learned
    too often then.

    Args:
        probabilities: (N, C) of each text's labels; the likeliest is its answer.
        shares: (C,) of each label among the labelled rows.
        keep: in (0, 1].
    """
    answers, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    order = np.argsort(-confidence, kind="stable")
    chosen = [np.zeros(0, np.int64)]
    for label, share in enumerate(shares.tolist()):
        own = order[answers[order] == label]
        chosen.append(own[: round(keep * min(len(own), share * len(answers)))])
    return np.sort(np.concatenate(chosen))
