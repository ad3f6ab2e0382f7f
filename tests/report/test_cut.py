"""What was cut is said with the setting that cut it."""

import numpy as np
import pytest
from bmtool.config.model import validate
from bmtool.contracts import Examples
from bmtool.data.tokens import InMemoryTokens
from bmtool.report.cut import cut_lines
from bmtool.tasks.question_answering import QuestionAnswering
from bmtool.tasks.text_classification import TextClassification
from bmtool.tasks.translation import Translation


def said(task, cut, *, max_seq_length=64, notes=(), **settings):
    nothing = np.zeros(0, np.int64)
    examples = Examples(InMemoryTokens(nothing), nothing, nothing, (), (), {}, cut=cut, notes=notes)
    return cut_lines(validate(task, settings), examples, max_seq_length)


@pytest.mark.parametrize(
    ("task", "settings", "cut", "line"),
    [
        (
            TextClassification,
            {},
            {"texts_cut": 2, "tokens_cut": 1500},
            "2 texts cut, 1,500 tokens cut at max_seq_length 64",
        ),
        (
            Translation,
            {"max_new_tokens": 20},
            {"texts_cut": 0, "tokens_cut": 9, "targets_cut": 3},
            "3 targets cut, 9 tokens cut at max_new_tokens 20",
        ),
        (
            Translation,
            {"max_new_tokens": 20},
            {"texts_cut": 1, "tokens_cut": 9, "targets_cut": 3},
            "1 texts cut at max_seq_length 64; 3 targets cut at max_new_tokens 20; 9 tokens cut",
        ),
        (Translation, {"max_new_tokens": 65}, {"targets_cut": 3}, "3 targets cut at max_seq_length 64"),
        (
            QuestionAnswering,
            {"max_question_tokens": 32},
            {"questions_cut": 1, "answers_not_found": 4},
            "1 questions cut at max_question_tokens 32; 4 answers not found",
        ),
        (QuestionAnswering, {"max_question_tokens": 33}, {"questions_cut": 1}, "1 questions cut at max_seq_length 64"),
    ],
)
def test_each_reason_is_said_with_its_own_setting(task, settings, cut, line):
    assert said(task, cut, **settings) == [line]


def test_rows_that_are_named_are_lines_of_their_own_and_nothing_is_nothing():
    assert said(Translation, {"targets_cut": 0}, notes=("row 3: odd",)) == ["row 3: odd"]
    assert said(Translation, {"targets_cut": 0, "tokens_cut": 0}) == []
