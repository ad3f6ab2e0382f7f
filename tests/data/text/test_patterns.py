import re

import pytest
from bmtool.data.text.patterns import any_case, fault_of


@pytest.mark.parametrize("pattern", ["a+b", r"\bword\b", r"(?i)a(?:b|c)", r"\p{Han}", r"(?P<name>x)\d{2,3}?", r"[^\]]"])
def test_a_pattern_that_re2_knows_has_no_fault(pattern):
    assert fault_of(pattern) == ""


@pytest.mark.parametrize(
    "pattern",
    [
        "(",
        "(?=a)",
        "(?!a)",
        "(?<=a)b",
        r"(a)\1",
        "a++",
        "(?>a)",
        "[b-a]",
        r"\Z",
        "a{1001}",
        "(a{99}){99}",
        "(?x) a",
        r"\u00e9",
        r"\N{DIGIT ONE}",
    ],
)
def test_a_pattern_that_re2_does_not_know_has_one(pattern):
    assert fault_of(pattern)


def test_a_group_that_is_not_there_is_a_fault_of_the_replacement():
    assert fault_of("(a)", r"\1") == ""
    assert "only has 1" in fault_of("(a)", r"\2")


def test_any_case_is_the_same_in_ascii_and_knows_other_scripts():
    pattern = re.compile(any_case("key", "тел", "电话", "a.b"), re.ASCII)

    assert [text for text in ("KEY", "kEy", "Тел", "电话", "A.B", "aXb", "\u212aey") if pattern.fullmatch(text)] == [
        "KEY",
        "kEy",
        "Тел",
        "电话",
        "A.B",
    ]
