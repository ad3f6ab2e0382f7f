"""What differs between two resolved configurations."""

import pytest
from bmtool.config.changes import what_changed

OLD = {"prepare.corpus": {"filters": [{"type": "length", "min_chars": 100}], "seed": 0, "scrub": None}}


@pytest.mark.parametrize(
    ("new", "expected"),
    [
        (OLD["prepare.corpus"], None),
        (
            {"filters": [{"type": "length", "min_chars": 200}], "seed": 0, "scrub": None},
            "prepare.corpus.filters[0].min_chars 100 -> 200",
        ),
        (
            {"filters": [{"type": "language", "lang": "en"}], "seed": 0, "scrub": None},
            "prepare.corpus.filters[0] length -> language",
        ),
        ({"filters": [], "seed": 0, "scrub": None}, "prepare.corpus.filters [length] -> []"),
        (
            {"filters": [{"type": "length", "min_chars": 100}], "seed": 0, "scrub": "email", "x": True},
            "prepare.corpus.scrub not set -> email, prepare.corpus.x not set -> true",
        ),
        ({"filters": [{"type": "length", "min_chars": 100}], "scrub": None}, "prepare.corpus.seed 0 -> not set"),
    ],
)
def test_the_changed_settings_are_named_with_both_values(new, expected):
    assert what_changed(OLD, {"prepare.corpus": new}) == expected


def test_more_than_three_changes_are_counted():
    old, new = dict.fromkeys("abcde", 1), dict.fromkeys("abcde", 2)

    assert what_changed(old, new) == "a 1 -> 2, b 1 -> 2, c 1 -> 2 and 2 more"


def test_long_values_are_cut():
    assert what_changed({"a": "x" * 99}, {"a": "y"}) == f"a {'x' * 37}... -> y"


def test_true_and_one_differ():
    assert what_changed({"a": True}, {"a": 1}) == "a true -> 1"
