"""Near-duplicates: pairs of similar rows, which of them stay, and what clusters they make."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from bmtool.data.similarity import candidates
from bmtool.data.similarity.fingerprints import sketch
from bmtool.data.similarity.shingle_sets import exact_similarity
from bmtool.data.similarity.similar import (
    Pairs,
    clusters,
    find_candidates,
    find_pairs,
    keep_first,
    matches_in_doubt,
    measure_pairs,
)
from bmtool.data.text.documents import text_buffers
from bmtool.errors import DataError
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


def pairs_of(texts, *, cuts=(), **options) -> Pairs:
    column = pa.array(texts, pa.string())
    sketches, _ = sketch(*text_buffers(column))
    units = [Held(part) for part in np.split(sketches, list(cuts))]
    return find_pairs(units, lambda rows: column.take(pa.array(rows)), **options)


def tuples(pairs: Pairs) -> list[tuple[int, int]]:
    return list(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))


def random_texts(count: int, words: int, seed: int = 0) -> list[list[str]]:
    rng = np.random.default_rng(seed)
    return [rng.integers(10**9, size=words).astype(str).tolist() for _ in range(count)]


def edited_texts(seed: int = 0) -> list[str]:
    """120 texts of 60 words: 40 of their own, two copies of each with 0 to 4 words changed."""
    rng = np.random.default_rng(seed)
    texts = random_texts(40, 60, seed)
    for text in texts[:40] * 2:
        copy = list(text)
        for place in rng.choice(60, rng.integers(0, 5), replace=False):
            copy[place] = "edited"
        texts.append(copy)
    return [" ".join(texts[i]) for i in rng.permutation(len(texts))]


def test_near_copies_are_found_and_others_are_not():
    own = random_texts(50, 100)
    near = [[*text[:50], "changed", *text[51:]] for text in own[:20]]
    far = [[*text[:50], *other[50:]] for text, other in pairwise(own[20:41])]

    pairs = pairs_of([" ".join(text) for text in own + near + far])

    assert tuples(pairs) == [(i, 50 + i) for i in range(20)]
    assert np.abs(pairs.similarity - 91 / 101).max() < 0.12
    assert (pairs.similarity[pairs.is_exact] == np.float32(91 / 101)).all()


@pytest.mark.parametrize("parts", [2, 3, 7])
def test_pairs_in_doubt_that_are_measured_in_parts_are_as_similar_as_measured_at_once(parts):
    column = pa.array(edited_texts(), pa.string())
    units = [Held(sketch(*text_buffers(column))[0])]

    def texts(rows):
        return column.take(pa.array(rows))

    found = find_candidates(units, threshold=0.7)
    shares = zip(*(np.array_split(side, parts) for side in found.in_doubt()), strict=True)
    exact = [exact_similarity(*share, texts, threshold=0.7) for share in shares]

    whole = measure_pairs(units, texts, threshold=0.7)
    assert len(found.doubtful) > parts
    assert found.measured(np.concatenate(exact)).similarity.tolist() == whole.similarity.tolist()


def test_texts_of_a_few_words_are_similar_if_their_words_are_equal():
    texts = ["", "Good!", "very good", "good", "--", "Very  GOOD.", "good very", "", "\u597d", "\u597d\u3002"]

    assert tuples(pairs_of(texts)) == [(1, 3), (2, 5), (8, 9)]


def test_one_changed_character_of_a_chinese_text_is_found():
    rng = np.random.default_rng(0)
    texts = ["".join(chr(code) for code in rng.integers(0x4E00, 0x9000, 70)) for _ in range(300)]
    copies = [text[:35] + "\u9fa5" + text[36:] for text in texts]

    pairs = pairs_of(texts + copies)

    found = set(tuples(pairs))
    assert sum((i, 300 + i) in found for i in range(300)) >= 297


@pytest.mark.parametrize("cuts", [[1], [0, 60, 60], list(range(1, 120))])
def test_pairs_dont_depend_on_how_rows_are_cut_into_units(cuts, monkeypatch):
    texts = edited_texts()
    whole = pairs_of(texts)

    monkeypatch.setattr(candidates, "_KEY_BYTES", 1)
    monkeypatch.setattr(candidates, "_ROWS_HELD", 7)
    cut = pairs_of(texts, cuts=cuts)

    assert len(whole) > 30
    for name in ("first", "second", "similarity", "is_exact"):
        assert getattr(whole, name).tolist() == getattr(cut, name).tolist()


def test_rows_left_out_are_in_no_pair():
    texts = ["one two three four five six seven"] * 4
    alive = np.array([False, True, True, False])

    assert tuples(pairs_of(texts, alive=alive)) == [(1, 2)]


def test_settled_rows_are_paired_with_later_ones_only():
    texts = ["one two three four five six seven"] * 4

    assert all(b >= 2 for _, b in tuples(pairs_of(texts, settled=2)))
    kept = keep_first(4, pairs_of(texts, settled=2), settled=2)
    assert kept.twin.tolist() == [-1, -1, 0, 0]


def test_a_large_bucket_gives_a_star_and_not_every_pair(monkeypatch):
    monkeypatch.setattr(candidates, "_BUCKET_PART", 16)

    pairs = pairs_of(["the very same seven words every time"] * 1000)

    assert tuples(pairs) == [(0, i) for i in range(1, 1000)]


def test_when_everything_is_nearly_similar_few_pairs_are_held_and_copies_still_go(monkeypatch):
    rng = np.random.default_rng(0)
    shared = rng.integers(10**9, size=100).astype(str).tolist()
    texts = [" ".join([*shared, *rng.integers(10**9, size=20).astype(str).tolist()]) for _ in range(300)]
    texts += [text + " again" for text in texts[:20]]
    held, merge = [], candidates._merged

    def merged(found):
        held.append(merge(found))
        return held[-1]

    monkeypatch.setattr(candidates, "_MANY_PAIRS", 0)
    monkeypatch.setattr(candidates, "_ROWS_HELD", 50)
    monkeypatch.setattr(candidates, "_merged", merged)

    kept = keep_first(320, pairs_of(texts, threshold=0.8))

    assert max(map(len, held)) <= 320 * 17 + 50 * 8
    monkeypatch.setattr(candidates, "_MANY_PAIRS", 10**9)
    pairs_of(texts, threshold=0.8)
    assert len(held[-1]) > 320 * 17 + 50 * 8
    assert (kept.twin[300:] == np.arange(20)).mean() > 0.8


def test_more_rows_than_can_be_numbered_are_refused():
    class Endless(Held):
        def __len__(self):
            return 2**28

    with pytest.raises(DataError) as error:
        find_pairs([Endless(None), Held([0])], None)

    assert str(error.value) == (
        "similar rows are looked for among at most 268,435,456 rows, and there are 268,435,457. "
        "Prepare them as several datasets, one `against` the other."
    )


def test_a_threshold_that_is_no_share_is_refused():
    with pytest.raises(ValueError, match=r"threshold must be above 0 and at most 1, not 1\.5"):
        pairs_of(["a"], threshold=1.5)


@pytest.mark.parametrize(("threshold", "least", "clear"), [(0.7, 63, 93), (0.95, 99, 114), (1.0, 112, 113)])
def test_doubt_ends_three_standard_errors_from_the_threshold(threshold, least, clear):
    assert matches_in_doubt(threshold) == (least, clear)


def test_at_a_high_threshold_every_pair_is_measured():
    own = random_texts(30, 200)
    near = [[*text[:100], "changed", *text[101:]] for text in own]

    pairs = pairs_of([" ".join(text) for text in own + near], threshold=0.96)

    assert len(pairs) == 0
    pairs = pairs_of([" ".join(text) for text in own + near], threshold=0.95)
    assert tuples(pairs) == [(i, 30 + i) for i in range(30)]
    assert pairs.is_exact.all()


some_pairs = st.integers(2, 30).flatmap(
    lambda rows: st.tuples(
        st.just(rows),
        st.dictionaries(
            st.tuples(st.integers(0, rows - 1), st.integers(0, rows - 1)).filter(lambda pair: pair[0] < pair[1]),
            st.sampled_from([0.7, 0.8, 0.9]),
            max_size=60,
        ),
        st.integers(0, rows),
    )
)


def given_pairs(found: dict[tuple[int, int], float]) -> Pairs:
    ordered = sorted(found)
    first, second = (np.array([pair[side] for pair in ordered], np.int64) for side in (0, 1))
    return Pairs(first, second, np.array([found[p] for p in ordered], np.float32), np.zeros(len(ordered), bool))


@settings(deadline=None, max_examples=300)
@given(some_pairs)
def test_every_row_that_goes_has_a_kept_twin_and_no_two_kept_rows_are_a_pair(case):
    rows, found, settled = case

    kept = keep_first(rows, given_pairs(found), settled=settled)

    stays = kept.twin < 0
    assert stays[:settled].all()
    for row in np.flatnonzero(~stays).tolist():
        twin = int(kept.twin[row])
        assert stays[twin]
        similar = {a: s for (a, b), s in found.items() if b == row and stays[a]}
        assert np.float32(similar[twin]) == kept.similarity[row]
        assert twin == min(a for a, s in similar.items() if s == max(similar.values()))
    for a, b in found:
        assert not (stays[a] and stays[b]) or b < settled
    assert np.isnan(kept.similarity[stays]).all()


@settings(deadline=None, max_examples=200)
@given(some_pairs)
def test_clusters_are_the_connected_components_called_by_their_first_row(case):
    rows, found, _ = case

    labels = clusters(rows, given_pairs(found)).tolist()

    expected = list(range(rows))
    for _ in range(rows):
        for a, b in found:
            expected[a] = expected[b] = min(expected[a], expected[b])
    assert labels == expected
