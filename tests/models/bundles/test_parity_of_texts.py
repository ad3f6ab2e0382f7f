"""When two models write the same, when a tie explains that they don't, and that logits are compared along the text."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from bmtool.models.bundles.parity import compare
from bmtool.models.bundles.parity_of_texts import is_other
from bmtool.models.files.opening import load

sys.path.insert(0, str(Path(__file__).parents[2]))
from checkpoints import write_checkpoint

LOGITS = torch.tensor([[0.0, 5.0, 4.0], [0.0, 1.0, 3.0], [9.0, 0.0, 0.0]])
INFO = {
    "goal": {"type": "translation", "max_new_tokens": 8},
    "goal_kind": "task",
    "labels": [],
    "max_seq_length": 32,
}


@pytest.fixture(scope="module", params=["bart", "writing_gpt"])
def folder(request, tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp(request.param) / "model", request.param, INFO)


@pytest.mark.parametrize(
    ("found", "tolerance", "other"),
    [
        ([1, 2, 0], 1e-3, False),
        ([1, 1, 2], 0.9, True),  # 3.0 against 1.0 at the first token that differs
        ([1, 1, 2], 1.1, False),
        ([2, 1, 2], 0.4, True),  # 5.0 against 4.0
        ([2, 1, 2], 0.6, False),  # what comes behind a tie is no matter
        ([1, 0], 1e-3, True),  # it ends earlier
    ],
)
def test_another_text_is_one_unless_its_first_other_token_was_a_tie(found, tolerance, other):
    assert is_other(LOGITS, np.array([1, 2, 0]), np.array(found), tolerance) == other


def test_no_number_is_never_a_tie():
    assert is_other(LOGITS * torch.nan, np.array([1, 2]), np.array([1, 1]), 1.0)


def test_a_model_with_other_weights_is_told_by_its_logits_and_its_texts(folder):
    model, other = load(folder), load(folder)
    rows = model.table([{"source": text} for text in ("good movie", "the plot was very boring", "bad")])
    with torch.no_grad():
        other.backend.model.get_output_embeddings().weight.mul_(-1.0)

    same, numbers = (compare(model, one, rows, tolerance=1e-3) for one in (load(folder), other))

    assert (same["max_abs_difference"], same["same_answers"], same["other_answers"]) == (0.0, 1.0, 0)
    assert numbers["max_abs_difference"] > 1
    assert (numbers["same_answers"], numbers["other_answers"]) == (0.0, 3)
