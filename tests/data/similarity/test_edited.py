"""Edited copies: held-out rows of which train has the text but for one word."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from bmtool.data.similarity import edited as module
from bmtool.data.similarity.edited import LEAST_COMMON, MOST_WORDS, edited
from hypothesis import given, settings
from hypothesis import strategies as st


def edited_of(texts, splits, *, cuts=()):
    """`splits`: a letter a row: t(rain), h(eld out), - (gone). Returns {row: twin} and the similarities."""
    letters = np.array(list(splits))
    borders = [0, *cuts, len(texts)]

    def parts(mask):
        for first, end in pairwise(borders):
            if mask[first:end].any():
                yield slice(first, end), pa.array(texts[first:end], pa.string())

    found = edited(parts, letters == "t", letters == "h")
    return dict(zip(found.row.tolist(), found.twin.tolist(), strict=True)), found.similarity.tolist()


ROW = "none of it is funny and all of it is loud"  # 11 words


@pytest.mark.parametrize(
    "copy",
    [
        "none of it is sad and all of it is loud",
        "None of it is funny, and all of it is LOUD too!",
        "of it is funny and all of it is loud",
        "none of it is loud funny and all of it is",
    ],
    ids=["replaced", "added", "left out", "moved"],
)
def test_one_word_replaced_added_left_out_or_moved_is_found(copy):
    found, similarity = edited_of(["something else", copy, ROW, copy], "ttht")

    assert found == {2: 1}
    assert similarity == [pytest.approx(10 / 11 if "too" not in copy.lower() else 11 / 12)]


@pytest.mark.parametrize("place", range(11))
@pytest.mark.parametrize("to", [0, 3, 5, 10])
def test_it_is_found_whichever_word_is_another_or_moved(place, to):
    words = [f"word{number}" for number in range(11)]
    moved = [*words[:place], *words[place + 1 :]]
    moved.insert(to, words[place])
    other = [*words[:place], "other", *words[place + 1 :]]

    assert edited_of([" ".join(moved), " ".join(words)], "th")[0] == {1: 0}
    assert edited_of([" ".join(other), " ".join(words)], "th")[0] == {1: 0}
    assert edited_of([" ".join(words[:place] + words[place + 1 :]), " ".join(words)], "th")[0] == {1: 0}


def test_two_words_are_too_many_and_so_is_one_in_a_row_of_seven():
    two = ROW.replace("funny", "sad").replace("loud", "quiet")
    seven = "one of the best films this year"

    assert edited_of([two, ROW], "th")[0] == {}
    assert edited_of([seven.replace("best", "worst"), seven], "th")[0] == {}
    assert edited_of([f"{seven} again", seven], "th")[0] == {1: 0}


@pytest.mark.parametrize(
    ("row", "copy"),
    [
        ("房间很大。早餐也不错。", "房间很小。早餐也不错。"),
        ("このホテルはとても静かでした", "あのホテルはとても静かでした"),
    ],
)
def test_in_scripts_without_spaces_a_character_is_a_word(row, copy):
    assert edited_of([copy, row], "th")[0] == {1: 0}


def test_only_train_has_copies_and_only_of_rows_that_are_asked_for():
    copy = ROW.replace("funny", "sad")

    assert edited_of([copy, ROW, copy], "h--")[0] == {}
    assert edited_of([copy, ROW, copy], "hh-")[0] == {}
    assert edited_of([copy, ROW, copy], "-ht")[0] == {1: 2}


def test_long_rows_are_left_to_their_similarity():
    words = [str(number) for number in range(MOST_WORDS + 1)]

    assert edited_of([" ".join(words[1:]), " ".join(words[2:])], "th")[0] == {1: 0}
    assert edited_of([" ".join(words), " ".join([*words[:-1], "x"])], "th")[0] == {}
    assert edited_of([" ".join(words[:-1] * 9), ""], "th")[0] == {}


def one_off(a, b):
    """By hand: equal once at most one word is taken out of each."""
    leavings = [
        {words, *(words[:i] + words[i + 1 :] for i in range(len(words)))} if len(words) >= LEAST_COMMON else set()
        for words in (a, b)
    ]
    return any(len(words) >= LEAST_COMMON for words in leavings[0] & leavings[1])


words = st.lists(st.sampled_from("ab"), min_size=LEAST_COMMON - 2, max_size=LEAST_COMMON + 3).map(tuple)


@settings(max_examples=200, deadline=None)
@given(st.lists(words, min_size=2, max_size=12), st.data())
def test_the_first_row_that_is_one_off_is_found_whatever_the_parts(rows, data):
    splits = data.draw(st.lists(st.sampled_from("th-"), min_size=len(rows), max_size=len(rows)))
    cuts = sorted(data.draw(st.sets(st.integers(1, len(rows) - 1))))
    is_twin = {
        (row, other): one_off(rows[row], rows[other])
        for row in range(len(rows))
        for other in range(len(rows))
        if splits[row] == "h" and splits[other] == "t"
    }
    expected = {
        row: min(o for (r, o), twin in is_twin.items() if twin and r == row) for (row, _), t in is_twin.items() if t
    }

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "_KEYS_HELD", data.draw(st.sampled_from([1, 20, 1 << 21])))
        found, _ = edited_of([" ".join(row) for row in rows], splits, cuts=cuts)

    assert found == expected


def test_rows_that_follow_one_pattern_all_name_the_first():
    texts = [f"the {number} act of making one and the same thing again" for number in range(4000)]

    found, _ = edited_of(texts, "th" * 2000)

    assert found == dict.fromkeys(range(1, 4000, 2), 0)
