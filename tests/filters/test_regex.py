import numpy as np
import pyarrow as pa
import pytest
from bmtool.config.model import ValidationError, validate
from bmtool.data.text.documents import Documents
from bmtool.filters.regex import Regex


def stays(judge, *texts):
    return (judge.judge(Documents(pa.array(texts, pa.string()))).rule < 0).tolist()


def test_a_document_goes_if_drop_matches_or_keep_does_not():
    assert stays(Regex(drop=r"\bspam\b"), "a spam b", "spammer", "") == [False, True, True]
    assert stays(Regex(keep=r"(?i)^title:"), "Title: x", "x\ntitle: y", "") == [True, False, False]
    assert stays(Regex(keep=r"\p{Han}"), "abc", "a这b") == [False, True]


def test_the_rule_that_failed_is_named_and_nothing_is_measured():
    judge = Regex(drop="x", keep="y")

    verdict = judge.judge(Documents(pa.array(["xy", "z", "y", "x"])))

    assert judge.rules() == ("drop", "keep")
    assert verdict.rule.tolist() == [0, 1, -1, 0]
    assert np.isnan(verdict.value).all()
    assert np.isnan(verdict.threshold).all()


@pytest.mark.parametrize("settings", [{}, {"drop": "("}, {"keep": "(?=a)"}, {"drop": r"(a)\1"}, {"drop": ""}])
def test_what_makes_no_sense_is_refused_while_reading_the_configuration(settings):
    with pytest.raises(ValidationError):
        validate(Regex, settings)
