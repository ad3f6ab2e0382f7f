import pyarrow as pa
import pytest
from bmtool.config.model import ValidationError, validate
from bmtool.data.text.documents import Documents
from bmtool.filters.length import Length


def failed(judge, texts):
    """(rule or None, value) of each text."""
    verdict = judge.judge(Documents(pa.array(texts, pa.string())))
    return [
        (judge.rules()[rule], value) if rule >= 0 else None
        for rule, value in zip(verdict.rule, verdict.value, strict=True)
    ]


def test_characters_are_counted_and_both_limits_are_inside():
    assert failed(Length(min_chars=2, max_chars=3), ["a", "ab", "abc", "abcd", "你好", "你", ""]) == [
        ("min_chars", 1),
        None,
        None,
        ("max_chars", 4),
        None,
        ("min_chars", 1),
        ("min_chars", 0),
    ]


def test_lines_are_limited_only_if_asked_for():
    texts = ["short\nlines", "这家餐厅很好啊\nx", "1234567", "\n" * 9, "123456\n123456"]

    assert failed(Length(min_chars=1), texts) == [None] * 5
    assert failed(Length(min_chars=1, max_line_chars=6), texts) == [
        None,
        ("max_line_chars", 7),
        ("max_line_chars", 7),
        None,
        None,
    ]
    assert failed(Length(min_chars=1, max_mean_line_chars=6), texts) == [
        None,
        None,
        ("max_mean_line_chars", 7),
        None,
        ("max_mean_line_chars", 6.5),
    ]


def test_rules_are_those_that_are_set():
    assert Length().rules() == ("min_chars", "max_chars")
    assert Length(max_mean_line_chars=9).rules() == ("min_chars", "max_chars", "max_mean_line_chars")


@pytest.mark.parametrize("settings", [{"min_chars": 5, "max_chars": 4}, {"min_chars": 0}, {"min_words": 3}])
def test_limits_that_make_no_sense_are_refused(settings):
    with pytest.raises(ValidationError):
        validate(Length, settings)
