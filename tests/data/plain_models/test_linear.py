"""Linear models on many features: fewer columns give the same answers, and what would not fit is said."""

import io

import numpy as np
import pytest
from bmtool.console import Console
from bmtool.data.plain_models import linear
from bmtool.data.plain_models.linear import fit
from bmtool.data.plain_models.merging import merging
from scipy.sparse import csr_matrix
from sklearn.linear_model import LogisticRegression


def few_columns():
    """Twelve rows; columns 0 and 1 are multiples of each other, 2 and 3 are in one row alone."""
    rng = np.random.default_rng(1)
    dense = rng.random((12, 6)) * (rng.random((12, 6)) > 0.4)
    dense[:, 1] = 2 * dense[:, 0]
    dense[:, 2:4] = 0
    dense[3, 2:4] = [0.5, 1.5]
    return dense


def test_columns_that_tell_the_same_become_one():
    features = csr_matrix(few_columns())

    merge = merging(features)

    assert merge.shape == (6, 4)
    assert np.allclose((merge.T @ merge).toarray(), np.eye(4))
    assert np.allclose(((features @ merge) @ merge.T).toarray(), features.toarray())


def test_merged_columns_give_the_same_probabilities_for_new_rows():
    features, answers = few_columns(), np.arange(12) % 3
    new = np.random.default_rng(2).random((5, 6))
    merge = merging(csr_matrix(features))

    plain = LogisticRegression(C=10, tol=1e-8, max_iter=9999).fit(features, answers).predict_proba(new)
    merged = LogisticRegression(C=10, tol=1e-8, max_iter=9999).fit(features @ merge, answers).predict_proba(new @ merge)

    assert np.allclose(plain, merged, atol=1e-4)


def test_a_column_without_a_value_has_no_share():
    merge = merging(csr_matrix([[1.0, 0.0], [2.0, 0.0]]))

    assert merge.toarray()[1].tolist() == [0, 0]


def test_labels_that_do_not_fit_into_memory_are_left_out_and_said(monkeypatch):
    monkeypatch.setattr(linear, "MAX_WEIGHTS", 12)
    features, answers = few_columns(), np.asarray([0] * 5 + [1] * 1 + [2] * 4 + [3] * 2)

    model, reason = fit((features, answers), None, [1.0], Console(quiet=True))

    assert set(model.predict(features)) <= {0, 2}
    assert reason == (
        "C 1, since there is no validation split; the 2 most frequent of 4 labels, for memory: 3 of 12 train rows "
        "were left out, and the other labels are never given"
    )


@pytest.mark.parametrize("several", [False, True])
def test_long_work_shows_progress(monkeypatch, several):
    monkeypatch.setattr("bmtool.console.PLAIN_SECONDS", 0.0)
    monkeypatch.setattr("sys.stderr", said := io.StringIO())
    answers = np.arange(12) % 2
    answers = np.stack([answers == 0, answers == 1], axis=1) if several else answers

    fit((few_columns(), answers), (few_columns(), answers), [1.0, 10.0], Console())

    shares = [line.rstrip() for line in said.getvalue().splitlines()]
    steps = ("25%", "50%", "75%", "100%") if several else ("50%", "100%")
    assert shares == [f"linear model: {share}" for share in steps]
