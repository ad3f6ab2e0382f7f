"""Rows that are added move no row to another split, unless its cluster became one with another; and that is counted."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cache

import numpy as np
import pyarrow as pa
from bmtool.data.passes.decide import Decisions, Rows, split_rows
from bmtool.data.passes.split import SPLITS
from bmtool.data.rows import row_ids
from bmtool.data.similarity.fingerprints import sketch
from bmtool.data.similarity.similar import clusters, find_pairs, keep_first
from bmtool.data.text.documents import text_buffers
from hypothesis import given, settings
from hypothesis import strategies as st

SHARES = {"seed": 7, "validation": 0.3, "test": 0.3}


@cache
def text_of(chain: int, link: int) -> str:
    """43 words of a chain: two links that are neighbours have a similarity of 0.8, those further apart below 0.7."""
    words = np.random.default_rng(chain).integers(10**9, size=100)
    return " ".join(words[4 * link : 4 * link + 43].astype(str))


@cache
def id_of(text: str) -> str:
    return row_ids(pa.record_batch({"text": pa.array([text])})).to_pylist()[0]


@dataclass
class Unit:
    """Rows in memory, as a unit has them."""

    texts: list[str]
    start: int = 0
    rows: slice = field(init=False)

    def __post_init__(self):
        self.rows = slice(0, len(self.texts))

    def batches(self):
        yield pa.record_batch({"id": pa.array(map(id_of, self.texts), pa.string())})


@dataclass
class Held:
    sketches: np.ndarray

    def __len__(self):
        return len(self.sketches)

    def load(self):
        return self.sketches


@dataclass
class Run:
    """What became of some texts."""

    split: dict[str, str]
    """text -> split"""
    cluster: dict[str, frozenset[str]]
    """text -> all texts of its cluster"""
    kept: set[str]
    facts: dict


def run_of(texts: list[str], *, is_near: bool) -> Run:
    column = pa.array(texts, pa.string())
    rows = Rows([Unit(texts)])
    decisions = Decisions(np.ones(len(texts), bool))
    label = np.arange(len(texts))
    if is_near:
        pairs = find_pairs([Held(sketch(*text_buffers(column))[0])], lambda some: column.take(pa.array(some)))
        decisions.keep = keep_first(len(texts), pairs).twin < 0
        decisions.clusters = label = clusters(len(texts), pairs)
    split_rows(rows, decisions, **SHARES)
    members = {one: frozenset(texts[row] for row in np.flatnonzero(label == one)) for one in set(label.tolist())}
    split = {text: SPLITS[index] for text, index in zip(texts, decisions.split.tolist(), strict=True)}
    kept = {text for text, stays in zip(texts, decisions.keep.tolist(), strict=True) if stays}
    return Run(split, dict(zip(texts, (members[one] for one in label.tolist()), strict=True)), kept, decisions.facts)


@st.composite
def grown(draw):
    """Texts, and the same with others anywhere between them, in any order."""
    links = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 12)), unique=True, min_size=2, max_size=40)
    texts = [text_of(*one) for one in draw(links)]
    return texts[: draw(st.integers(1, len(texts)))], draw(st.permutations(texts))


@settings(max_examples=150, deadline=None)
@given(grown())
def test_a_row_moves_only_if_its_cluster_became_one_with_another(texts):
    few, many = texts
    before, after = run_of(few, is_near=True), run_of(many, is_near=True)

    moved = {text for text in few if after.split[text] != before.split[text]}

    for text in moved:
        assert before.cluster[text] < after.cluster[text]
        assert min(map(id_of, after.cluster[text])) < min(map(id_of, before.cluster[text]))
    for members in after.cluster.values():
        assert len({after.split[text] for text in members}) == 1


@settings(max_examples=150, deadline=None)
@given(grown())
def test_rows_that_go_with_their_cluster_are_counted(texts):
    few, many = texts
    before, after = run_of(few, is_near=True), run_of(many, is_near=True)
    # What moved since isn't where its own id leads, before or now: so it is in one of the two counts.
    own = run_of(many, is_near=False).split

    for run in (before, after):
        joined = {text for text in run.kept if len(run.cluster[text]) > 1}
        led = {text for text in joined if run.split[text] != own[text]}
        assert run.facts["split_by_cluster"] == {"rows": len(joined), "moved": len(led)}


@settings(max_examples=50, deadline=None)
@given(grown())
def test_without_clusters_no_row_ever_moves(texts):
    few, many = texts
    before, after = run_of(few, is_near=False).split, run_of(many, is_near=False).split

    assert {text: after[text] for text in few} == before


def test_chains_do_grow_together():
    """The property above isn't empty: a link between two parts of a chain moves rows."""
    parts = [[text_of(chain, link) for link in (0, 1, 3, 4)] for chain in range(20)]
    before = run_of([text for part in parts for text in part], is_near=True)
    after = run_of(
        [*[text for part in parts for text in part], *(text_of(chain, 2) for chain in range(20))], is_near=True
    )

    assert sum(len(before.cluster[part[0]]) == 2 and len(after.cluster[part[0]]) == 5 for part in parts) >= 18
    assert 5 < sum(before.split[text] != after.split[text] for part in parts for text in part) < 60
