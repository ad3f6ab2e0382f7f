"""The exact similarity of two texts."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from bmtool.data.similarity.shingle_sets import exact_similarity
from hypothesis import given, settings
from hypothesis import strategies as st


def similarity_of(texts: list[str], first: list[int], second: list[int], threshold: float = 0.0) -> np.ndarray:
    asked = []

    def texts_of(rows):
        asked.append(rows)
        assert len(rows) <= 512
        assert (np.diff(rows) > 0).all()
        return pa.array([texts[row] for row in rows], pa.string())

    return exact_similarity(np.array(first, np.int64), np.array(second, np.int64), texts_of, threshold=threshold)


def jaccard(a: str, b: str) -> float:
    sets = []
    for text in (a, b):
        words = text.split()
        sets.append({tuple(words[i : i + 5]) for i in range(len(words) - 4)} or ({tuple(words)} if words else set()))
    return len(sets[0] & sets[1]) / max(1, len(sets[0] | sets[1]))


few_words = st.lists(st.sampled_from(["a", "b", "c"]), max_size=40).map(" ".join)


@settings(deadline=None, max_examples=150)
@given(st.lists(few_words, min_size=2, max_size=8), st.sampled_from([0.0, 0.3, 0.7, 1.0]))
def test_similarity_is_that_of_the_sets_wherever_the_threshold_can_be_reached(texts, threshold):
    pairs = [(a, b) for a in range(len(texts)) for b in range(len(texts)) if a != b]

    found = similarity_of(texts, *map(list, zip(*pairs, strict=True)), threshold=threshold)

    for (a, b), value in zip(pairs, found.tolist(), strict=True):
        expected = jaccard(texts[a], texts[b])
        if expected >= threshold:
            assert value == np.float32(expected)
        else:
            assert value in (0, np.float32(expected))


def test_a_group_never_asks_for_more_than_512_rows():
    texts = [f"row {i // 2} has words enough for some shingles" for i in range(3000)]
    first = list(range(0, 3000, 2)) + [0] * 1500
    second = list(range(1, 3000, 2)) + list(range(1, 3000, 2))

    found = similarity_of(texts, first, second)

    assert (found[:1500] == 1).all()
    assert found[1501:].max() < 1


def test_no_pairs_need_no_texts():
    assert similarity_of([], [], []).shape == (0,)


@pytest.mark.parametrize("threshold", [0.7, 0.3, 0.9])
def test_a_pair_exactly_at_the_threshold_isnt_lost_to_rounding(threshold):
    words = [f"w{i}" for i in range(104)]
    count = round(100 * threshold)
    texts = [" ".join(words), " ".join(words[: count + 4])]

    assert similarity_of(texts, [0], [1], threshold)[0] == np.float32(threshold)
