"""Rows compared again after some came or went: the same is found as from none."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pytest
from bmtool.data.similarity import again, overlap_again
from bmtool.data.similarity.again import ComparedBefore, Moved, compared_again
from bmtool.data.similarity.bands import Sketches
from bmtool.data.similarity.fingerprints import sketch
from bmtool.data.similarity.overlap import overlap
from bmtool.data.similarity.overlap_again import OverlapBefore
from bmtool.data.similarity.overlap_again import overlap_again as overlap_again_
from bmtool.data.similarity.similar import matches_in_doubt, measure_pairs
from bmtool.data.text.documents import text_buffers
from hypothesis import given, settings
from hypothesis import strategies as st


class Held:
    """A unit whose sketches are in memory."""

    def __init__(self, sketches):
        self.sketches = sketches

    def __len__(self):
        return len(self.sketches)

    def load(self):
        return self.sketches


def families(seed: int = 0) -> list[str]:
    """240 texts of 60 words: 30 families of eight, whose members differ in up to 6 words."""
    rng = np.random.default_rng(seed)
    texts = []
    for _ in range(30):
        own = rng.integers(10**9, size=60).astype(str)
        for _ in range(8):
            copy = own.copy()
            copy[rng.choice(60, rng.integers(0, 7), replace=False)] = str(rng.integers(10**9))
            texts.append(" ".join(copy))
    return [texts[i] for i in rng.permutation(len(texts))]


TEXTS = families()
SKETCHES = sketch(*text_buffers(pa.array(TEXTS)))[0]
UNIT = 20


class Run(NamedTuple):
    """Some units of 20 texts in an order, the rows that count, and those that are held out."""

    units: list[int]
    alive: np.ndarray
    held_out: np.ndarray

    def held(self):
        return [Held(SKETCHES[UNIT * unit : UNIT * (unit + 1)]) for unit in self.units]

    def texts(self, rows):
        return pa.array([TEXTS[UNIT * self.units[row // UNIT] + row % UNIT] for row in rows.tolist()], pa.string())

    @property
    def is_train(self):
        return self.alive & ~self.held_out


def run_of(units, seed) -> Run:
    """What is alive and held out is decided by text, but for one row in four that has another fate each time."""
    rows = np.concatenate([np.zeros(0, np.int64), *(np.arange(UNIT * unit, UNIT * (unit + 1)) for unit in units)])
    fate = np.random.default_rng(0).random(len(TEXTS))[rows]
    rng = np.random.default_rng(seed)
    fate = np.where(rng.random(len(rows)) < 0.25, rng.random(len(rows)), fate)
    return Run(units, fate < 0.8, (fate > 0.5) & (fate < 0.8))


def moved(before: Run, now: Run) -> Moved:
    place, gone, last = [], [], -1
    for unit in before.units:
        where = now.units.index(unit) if unit in now.units else -1
        if where > last:
            last = where
            place.append(np.arange(UNIT * where, UNIT * (where + 1)))
        else:
            place.append(np.full(UNIT, -1))
            gone.append(Held(SKETCHES[UNIT * unit : UNIT * (unit + 1)]))
    return Moved(np.concatenate([np.zeros(0, np.int64), *place]), Sketches(gone))


def compared_before(before: Run, now: Run) -> ComparedBefore:
    found = measure_pairs(before.held(), before.texts, alive=before.alive)
    return ComparedBefore(moved(before, now), before.alive, found.pairs, found.similarity)


def overlap_before(before: Run, now: Run) -> OverlapBefore:
    row = np.flatnonzero(before.held_out)
    found = overlap(before.held(), before.is_train, row, before.texts)
    twin, similarity, is_exact = np.full(len(row), -1), np.zeros(len(row), np.float32), np.zeros(len(row), bool)
    where = np.searchsorted(row, found.row)
    twin[where], similarity[where], is_exact[where] = found.twin, found.similarity, found.is_exact
    return OverlapBefore(moved(before, now), before.is_train, row, twin, similarity, is_exact)


def is_same(one, other) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(vars(one).values(), vars(other).values(), strict=True))


@pytest.fixture(autouse=True, scope="module")
def _without_limit():
    """However many rows are touched, only these are compared: of a few hundred a quarter is soon reached."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (again, overlap_again):
            patch.setattr(module, "most_rows", lambda _: 2 * len(TEXTS))
        yield


UNITS = st.integers(0, len(TEXTS) // UNIT - 1)
any_run = st.builds(run_of, st.lists(UNITS, unique=True, max_size=12), st.integers(0, 3))
grown = st.builds(
    lambda units, new, at: (run_of(units, 0), run_of([*units[:at], *sorted({*new} - {*units}), *units[at:]], 0)),
    st.lists(UNITS, unique=True, min_size=6, max_size=11),
    st.lists(UNITS, max_size=2),
    UNITS,
)
two_runs = st.one_of(grown, st.tuples(any_run, any_run))
LEAST, CLEAR = matches_in_doubt(0.7)


@settings(max_examples=50, deadline=None)
@given(two_runs)
def test_the_same_pairs_are_found_as_from_none(runs):
    before, now = runs
    whole = measure_pairs(now.held(), now.texts, alive=now.alive)

    known = compared_before(before, now)
    pairs = compared_again(known, Sketches(now.held()), at_least=LEAST, clearly=CLEAR, alive=now.alive)
    found = measure_pairs(now.held(), now.texts, alive=now.alive, before=known)

    assert pairs is not None
    assert is_same(pairs, whole.pairs)
    assert is_same(found.pairs, whole.pairs)
    assert np.array_equal(found.similarity, whole.similarity)


@settings(max_examples=50, deadline=None)
@given(two_runs)
def test_the_same_twins_are_found_as_from_none(runs):
    before, now = runs
    held_out = np.flatnonzero(now.held_out)
    whole = overlap(now.held(), now.is_train, held_out, now.texts)

    known = overlap_before(before, now)
    found = overlap_again_(known, now.held(), now.is_train, held_out, now.texts, threshold=0.7)

    assert is_same(found, whole)


def test_only_texts_of_rows_in_new_company_are_measured_again():
    before, now = run_of(list(range(11)), 0), run_of(list(range(12)), 0)
    asked: list[int] = []

    def texts(rows):
        asked.extend(rows.tolist())
        return now.texts(rows)

    measure_pairs(now.held(), texts, alive=now.alive)
    from_none = len(asked)
    asked.clear()
    measure_pairs(now.held(), texts, alive=now.alive, before=compared_before(before, now))

    assert 0 < len(asked) < from_none / 2


def test_too_many_changes_leave_everything_to_be_compared(monkeypatch):
    before, now = run_of(list(range(6)), 0), run_of(list(range(12)), 0)
    monkeypatch.setattr(again, "most_rows", lambda sketches: len(sketches) // 4)

    known = compared_before(before, now)

    pairs = compared_again(known, Sketches(now.held()), at_least=LEAST, clearly=CLEAR, alive=now.alive)
    assert pairs is None
