"""Contamination: documents that give away rows of test sets."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from bmtool.data.similarity import known_runs
from bmtool.data.similarity.contamination import RULES, Contamination, TestRows
from bmtool.data.similarity.shingles import WORDS_HELD
from bmtool.data.text.documents import text_buffers
from hypothesis import given, settings
from hypothesis import strategies as st


def rows_of(name: str, *texts: str) -> TestRows:
    return TestRows(
        name, pa.array(texts, pa.string()), pa.array([f"{name}{i}" for i in range(len(texts))], pa.string())
    )


def found_in(contamination: Contamination, *texts: str) -> list[tuple[str, str, str, float] | None]:
    """(test set, row's id, rule, share) of each text."""
    hits = contamination.hits(*text_buffers(pa.array(texts, pa.string())))
    return [
        None if row < 0 else (contamination.names[number], contamination.ids[row].as_py(), RULES[rule], round(share, 3))
        for row, number, rule, share in zip(
            hits.row.tolist(), hits.test_set.tolist(), hits.rule.tolist(), hits.share.tolist(), strict=True
        )
    ]


def words(first: int, count: int) -> list[str]:
    return [f"word{i}" for i in range(first, first + count)]


LONG = words(0, 60)


def test_a_run_of_13_words_is_enough_and_one_of_12_is_not():
    test = Contamination.of([rows_of("stars", " ".join(LONG))])

    found = found_in(
        test,
        " ".join(["before", *LONG[20:33], "behind"]),
        " ".join(["before", *LONG[20:32], "behind", *LONG[40:52]]),
        " ".join(LONG).upper().replace(" ", " - "),
    )

    assert found == [
        ("stars", "stars0", "13 words in a row", round(9 / 56, 3)),
        None,
        ("stars", "stars0", "13 words in a row", 1.0),
    ]


def test_runs_of_other_rows_put_together_are_no_run():
    test = Contamination.of(
        [rows_of("stars", " ".join(LONG[:12] + words(100, 20)), " ".join(LONG[4:16] + words(200, 20)))]
    )

    assert found_in(test, " ".join(LONG[:16])) == [None]


def test_an_edited_row_of_15_words_is_found_wherever_the_edit_is_and_whatever_stands_around():
    row = words(0, 15)
    test = Contamination.of([rows_of("stars", " ".join(row))])

    for place in range(15):
        edited = [*row[:place], "edited", *row[place + 1 :]]
        assert found_in(test, " ".join(["many", "words", "before", *edited, "and", "behind"])) != [None]


def test_half_of_the_runs_is_enough_and_less_is_not():
    row = words(0, 24)  # 20 runs
    test = Contamination.of([rows_of("stars", " ".join(row))])

    found = found_in(test, " ".join([*row[:9], "x", *row[10:19]]), " ".join([*row[:9], "x", *row[10:18]]))

    assert found == [("stars", "stars0", "runs of 5 words", 0.5), None]


@pytest.mark.parametrize("count", range(5, 15))
def test_a_short_row_is_found_with_one_word_changed_added_or_left_out(count):
    row = words(0, count)
    test = Contamination.of([rows_of("stars", " ".join(row))])

    for place in range(count):
        for edited in (
            [*row[:place], "x", *row[place + 1 :]],
            [*row[:place], "x", *row[place:]],
            row[:place] + row[place + 1 :],
        ):
            assert found_in(test, " ".join(edited)) != [None]
    assert found_in(test, " ".join(["x", *row[1:-1], "x"]), " ".join(["x", *row, "x"]))[0] is None


def test_a_row_of_eight_words_is_found_inside_a_text_and_half_of_it_is_not():
    row = words(0, 8)
    test = Contamination.of([rows_of("stars", " ".join(row))])

    assert found_in(test, " ".join(["x", "x", *row, "x", "x"])) == [("stars", "stars0", "runs of 5 words", 1.0)]
    assert found_in(test, " ".join(["x", "x", *row[:7], "x", "x"])) == [None]


def test_a_row_of_a_few_words_is_found_as_a_whole_text_only():
    test = Contamination.of([rows_of("stars", "Very good!", "--")])

    found = found_in(test, "very GOOD", "very good indeed", "good", "--", "good very", "")

    assert found == [("stars", "stars0", "same words", 1.0), None, None, None, None, None]


def test_a_chinese_row_with_a_changed_character_is_found():
    row = "\u8fd9\u5bb6\u9152\u5e97\u7684\u623f\u95f4\u5f88\u5e72\u51c0\u670d\u52a1\u4e5f\u975e\u5e38\u597d"
    test = Contamination.of([rows_of("stars", row)])

    for place in range(len(row)):
        assert found_in(test, row[:place] + "\u9fa5" + row[place + 1 :]) != [None]


def test_the_row_with_the_largest_share_is_named_and_its_set():
    test = Contamination.of(
        [rows_of("a", "something else altogether", " ".join(LONG)), rows_of("b"), rows_of("b", " ".join(LONG[:30]))]
    )

    assert found_in(test, " ".join(LONG[:30]), " ".join(LONG)) == [
        ("b", "b0", "13 words in a row", 1.0),
        ("a", "a1", "13 words in a row", 1.0),
    ]


def test_a_run_across_the_words_held_at_a_time_is_found():
    test = Contamination.of([rows_of("stars", " ".join(LONG))])

    for shift in range(-20, 5):
        filler = [f"filler{i}" for i in range(WORDS_HELD + shift)]
        assert found_in(test, " ".join([*filler, *LONG[:13], *filler])) != [None]


def test_a_phrase_of_the_whole_test_set_counts_for_no_row(monkeypatch):
    monkeypatch.setattr(known_runs, "MOST_HOLDERS", 3)
    phrase = words(0, 12)
    rows = [" ".join([*phrase, *words(100 * i, 10)]) for i in range(1, 6)]

    assert found_in(Contamination.of([rows_of("stars", *rows[:3])]), " ".join(phrase)) == [None]  # 8 of 18 runs
    assert found_in(Contamination.of([rows_of("stars", *rows)]), " ".join([*phrase, "x", *words(100, 9)])) == [
        ("stars", "stars0", "runs of 5 words", 0.5)
    ]
    assert found_in(Contamination.of([rows_of("stars", *([" ".join(words(0, 13))] * 5))]), " ".join(words(0, 13))) == [
        ("stars", "stars0", "13 words in a row", 0.0)
    ]


def test_no_rows_find_nothing():
    assert found_in(Contamination.of([]), "one two three") == [None]
    assert found_in(Contamination.of([rows_of("empty")]), "one two three") == [None]


few_words = st.lists(st.sampled_from("abcdefgh"), max_size=40)


def expected(rows: list[list[str]], text: list[str]) -> set[int]:
    """The rules, said plainly: the rows that contaminate a text."""
    found = set()
    runs = {tuple(text[i : i + 5]) for i in range(len(text) - 4)}
    long_runs = {tuple(text[i : i + 13]) for i in range(len(text) - 12)}
    without = {tuple(text[:i] + text[i + 1 :]) for i in range(len(text))}
    for number, row in enumerate(rows):
        row_runs = {tuple(row[i : i + 5]) for i in range(len(row) - 4)}
        share = len(row_runs & runs) / max(1, len(row_runs))
        row_without = {tuple(row[:i] + row[i + 1 :]) for i in range(len(row))}
        near = tuple(row) in without or tuple(text) in row_without or row_without & without
        if (
            any(tuple(row[i : i + 13]) in long_runs for i in range(len(row) - 12))
            or (len(row) >= 15 and share >= 0.5)
            or (8 <= len(row) < 15 and share == 1)
            or (row and row == text)
            or (5 <= len(row) <= 14 and near)
        ):
            found.add(number)
    return found


@settings(deadline=None, max_examples=300)
@given(st.lists(few_words, min_size=1, max_size=5), st.data())
def test_what_is_found_is_what_the_rules_say(rows, data):
    text = data.draw(few_words)
    if data.draw(st.booleans()):
        text = list(data.draw(st.sampled_from(rows)))
        for _ in range(data.draw(st.integers(0, 3))):
            text.insert(data.draw(st.integers(0, len(text))), data.draw(st.sampled_from("abcdefgh")))
    test = Contamination.of([rows_of("t", *(" ".join(row) for row in rows))])

    row = test.hits(*text_buffers(pa.array([" ".join(text)]))).row[0]

    rules = expected(rows, text)
    assert (row >= 0) == bool(rules)
    assert row < 0 or int(row) in rules


def test_what_is_found_doesnt_depend_on_the_batch():
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.choice(list("abcdef"), rng.integers(0, 40))) for _ in range(60)]
    test = Contamination.of([rows_of("t", *texts[:20])])

    together = found_in(test, *texts)

    assert together == [found_in(test, text)[0] for text in texts]
    assert together[:20].count(None) == texts[:20].count("")
