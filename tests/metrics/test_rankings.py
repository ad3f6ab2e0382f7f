"""Metrics of rankings equal those of scikit-learn and torchmetrics."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from bmtool.config.model import validate
from bmtool.data.scoring.scores import evaluate_metrics, over_all
from bmtool.metrics.mrr import Mrr
from bmtool.metrics.ndcg_at import NdcgAt
from bmtool.metrics.recall_at import RecallAt
from sklearn.metrics import ndcg_score
from torchmetrics.functional.retrieval import retrieval_recall, retrieval_reciprocal_rank

sys.path.insert(0, str(Path(__file__).parent.parent))
from random_answers import rankings

CANDIDATES = 30
#: The first candidate has the highest score; torchmetrics finds nothing whose score isn't above 0.
SCORES = torch.arange(CANDIDATES, 0, -1, dtype=torch.float32)


def relevant(row):
    """Which candidates are relevant, by their ranks."""
    found = torch.zeros(CANDIDATES, dtype=torch.bool)
    found[torch.as_tensor(row) - 1] = True
    return found


def value_of(metric, ranks):
    outputs = {"ranks": [np.asarray(row, dtype=np.int64) for row in ranks]}
    return over_all(metric.values, metric.statistics(outputs, ()))


@pytest.mark.parametrize("k", [1, 3, 10, 100])
def test_ndcg_equals_that_of_scikit_learn(k):
    ranks = [row for row in rankings()["ranks"] if len(row)]
    relevance = np.zeros((len(ranks), CANDIDATES))
    for row, places in enumerate(ranks):
        relevance[row, places - 1] = 1
    scores = np.tile(-np.arange(CANDIDATES), (len(ranks), 1))

    value = value_of(validate(NdcgAt, {"k": k}), ranks)

    assert value == pytest.approx(ndcg_score(relevance, scores, k=k), abs=1e-12)


@pytest.mark.parametrize("k", [1, 3, 10])
def test_recall_equals_that_of_torchmetrics(k):
    ranks = [row for row in rankings()["ranks"] if len(row)]
    each = [retrieval_recall(SCORES, relevant(row), top_k=k).item() for row in ranks]

    value = value_of(validate(RecallAt, {"k": k}), ranks)

    assert value == pytest.approx(np.mean(each), abs=1e-6)  # float32 there


def test_the_reciprocal_rank_equals_that_of_torchmetrics():
    ranks = [row for row in rankings()["ranks"] if len(row)]
    each = [retrieval_reciprocal_rank(SCORES, relevant(row)).item() for row in ranks]

    assert value_of(Mrr(), ranks) == pytest.approx(np.mean(each), abs=1e-6)


def test_the_reciprocal_rank_is_that_of_the_first_relevant_item():
    assert value_of(Mrr(), [[4, 2], [1], [5]]) == pytest.approx((1 / 2 + 1 + 1 / 5) / 3)


@pytest.mark.parametrize("name", ["mrr", "ndcg_at", "recall_at"])
def test_a_query_to_which_nothing_is_relevant_is_left_out(name):
    nothing = np.zeros(0, dtype=np.int64)

    assert evaluate_metrics([name], {"ranks": [np.asarray([1]), nothing]}, ())[name] == 1
    assert np.isnan(evaluate_metrics([name], {"ranks": [nothing]}, ())[name])


def test_how_many_items_count_is_said():
    assert validate(NdcgAt, {"k": 5}).details({}) == {"k": "5"}
