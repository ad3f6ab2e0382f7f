"""Each limit passes and fails by what was recorded, and says the numbers."""

# ruff: noqa: E501  # whole messages stand beside what causes them

import pytest
from bmtool.config.model import validate
from bmtool.data.passes.limits import judge_limits
from bmtool.data.settings import Limits

SUMMARY = {
    "ledger": {
        "rows_in": 1000,
        "rows_out": 700,
        "dropped": {"broken JSON": 50, "c4": 30, "duplicate": 20, "not sampled": 120, "not drawn": 80, "length": 0},
    },
    "rejected": 50,
    "by_rule": {"c4": {"curly_bracket": 19, "javascript": 11}, "length": {"min_chars": 0, "max_chars": 0}},
    "overlap": {
        "validation": {"rows": 100, "similar": 2, "edited": 1},
        "test": {"rows": 300, "similar": 4, "edited": 1},
    },
}


@pytest.mark.parametrize(
    ("limits", "passed", "message"),
    [
        ({"max_rejected": "5%"}, True, "50 of 1,000 rows rejected (5.00%), at most 5.00% allowed"),
        ({"max_rejected": "4%"}, False, "50 of 1,000 rows rejected (5.00%), at most 4.00% allowed"),
        ({"min_rows": 700}, True, "700 rows, at least 700 wanted"),
        ({"min_rows": 701}, False, "700 rows, at least 701 wanted"),
        ({"max_dropped": 0.06}, True, "50 of 950 readable rows dropped (5.26%), at most 6.00% allowed"),
        ({"max_dropped": 0.05}, False, "50 of 950 readable rows dropped (5.26%), at most 5.00% allowed"),
        ({"max_dropped_by": {"c4": 0.04}}, True, "30 of 950 readable rows dropped by c4 (3.16%), at most 4.00% allowed"),
        ({"max_dropped_by": {"c4": 0.03}}, False, "30 of 950 readable rows dropped by c4 (3.16%), at most 3.00% allowed"),
        ({"max_dropped_by": {"length": 0}}, True, "0 of 950 readable rows dropped by length (0.00%), at most 0.00% allowed"),
        (
            {"max_dropped_by": {"c4.javascript": 0.01}},
            False,
            "11 of 950 readable rows dropped by c4.javascript (1.16%), at most 1.00% allowed",
        ),
        ({"max_dropped_by": {"symbols": 0}}, True, "0 of 950 readable rows dropped by symbols (0.00%), at most 0.00% allowed"),
        (
            {"max_overlap": 0.02},
            True,
            "of 400 rows of validation and test 6 have a similar row in train, 2 one that differs in a word (2.00%), at most 2.00% allowed",
        ),
        (
            {"max_overlap": 0.01},
            False,
            "of 400 rows of validation and test 6 have a similar row in train, 2 one that differs in a word (2.00%), at most 1.00% allowed",
        ),
    ],
)  # fmt: skip
def test_a_limit_says_what_was_seen_and_what_is_allowed(limits, passed, message):
    [result] = judge_limits(validate(Limits, limits), SUMMARY)

    assert (result.passed, result.message) == (passed, message)


def test_overlap_that_was_not_measured_passes_nothing():
    [result] = judge_limits(validate(Limits, {"max_overlap": 1.0}), {**SUMMARY, "overlap": None})

    assert not result.passed


def test_every_limit_that_is_set_is_judged_and_no_other():
    limits = {"max_rejected": 1, "min_rows": 1, "max_dropped": 1, "max_dropped_by": {"c4": 1, "length": 1}}

    names = [one.name for one in judge_limits(validate(Limits, limits), SUMMARY)]

    assert names == ["max_rejected", "min_rows", "max_dropped", "max_dropped_by.c4", "max_dropped_by.length"]
    assert judge_limits(Limits(), SUMMARY) == []
