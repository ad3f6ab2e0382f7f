"""Overlap: held-out rows with a similar row in train."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from bmtool.data.similarity import overlap as module
from bmtool.data.similarity.fingerprints import sketch
from bmtool.data.similarity.overlap import overlap
from bmtool.data.text.documents import text_buffers


class Held:
    """A unit whose sketches are in memory."""

    def __init__(self, sketches):
        self.sketches = sketches

    def __len__(self):
        return len(self.sketches)

    def load(self):
        return self.sketches


def overlap_of(texts, splits, *, cuts=(), **options):
    """`splits`: a letter a row: t(rain), h(eld out), - (gone)."""
    column = pa.array(texts, pa.string())
    sketches, _ = sketch(*text_buffers(column))
    units = [Held(part) for part in np.split(sketches, list(cuts))]
    letters = np.array(list(splits))
    held_out = np.flatnonzero(letters == "h")
    return overlap(units, letters == "t", held_out, lambda rows: column.take(pa.array(rows)), **options)


def random_texts(count: int, words: int) -> list[list[str]]:
    rng = np.random.default_rng(0)
    return [rng.integers(10**9, size=words).astype(str).tolist() for _ in range(count)]


def test_a_held_out_row_with_a_similar_row_in_train_is_found():
    own = random_texts(6, 100)
    near = [[*text[:50], "changed", *text[51:]] for text in own]
    texts = [" ".join(text) for text in own + near]

    found = overlap_of(texts, "tttth-" + "hhtttt")

    assert list(zip(found.row.tolist(), found.twin.tolist(), strict=True)) == [(4, 10), (6, 0), (7, 1)]
    assert (found.similarity > 0.7).all()


def test_rows_that_are_gone_or_held_out_too_are_no_twins():
    text = "one two three four five six seven"

    assert len(overlap_of([text] * 3, "hh-")) == 0
    assert len(overlap_of([text, "", "...", ""], "thht")) == 0
    assert overlap_of([text] * 4, "-thh").twin.tolist() == [1, 1]


def test_what_the_estimate_leaves_open_is_measured_and_the_best_is_named():
    text = random_texts(1, 104)[0]  # 100 shingles
    further = [*text[:20], "x", *text[21:60], "x", *text[61:90], "x", *text[91:]]  # J = 85 / 115
    nearer = [*text[:20], "x", *text[21:60], "x", *text[61:]]  # J = 90 / 110
    texts = [" ".join(words) for words in (further, nearer, text)]

    found = overlap_of(texts, "tth", threshold=0.72)

    assert found.twin.tolist() == [1]
    assert found.is_exact.tolist() == [True]
    assert found.similarity.tolist() == [np.float32(90 / 110)]
    assert len(overlap_of(texts, "t-h", threshold=0.75)) == 0


@pytest.mark.parametrize("cuts", [[1], [0, 50, 50], list(range(1, 90))])
def test_overlap_doesnt_depend_on_units_or_rounds(cuts, monkeypatch):
    rng = np.random.default_rng(1)
    texts = []
    for text in random_texts(30, 150):
        for _ in range(3):
            copy = list(text)
            for place in rng.choice(150, rng.integers(0, 4), replace=False):
                copy[place] = "edited"
            texts.append(" ".join(copy))
    splits = "".join(rng.choice(list("tth-"), 90))
    whole = overlap_of(texts, splits)

    monkeypatch.setattr(module, "_ROWS_HELD", 3)
    cut = overlap_of(texts, splits, cuts=cuts)

    assert len(whole) > 5
    for name in ("row", "twin", "similarity", "is_exact"):
        assert getattr(whole, name).tolist() == getattr(cut, name).tolist()


def test_no_held_out_rows_have_no_overlap():
    assert len(overlap_of(["one two"], "t")) == 0
