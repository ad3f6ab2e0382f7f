"""Losses of labelled examples: weights of labels are 1 in the mean, and smoothing is PyTorch's."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from bmtool.contracts import Weighing
from bmtool.models.goals.supervised import _cross_entropy, class_weights

LABELS = np.array([0, 0, 0, 0, 0, 1, 1, 2])


def test_balanced_weights_let_each_label_count_alike():
    weights = np.array(class_weights(LABELS, None, ("a", "b", "c", "d")))

    totals = np.bincount(LABELS, weights=weights[LABELS], minlength=4)
    assert totals[:3] == pytest.approx([len(LABELS) / 3] * 3)
    assert weights[LABELS].mean() == pytest.approx(1.0)


def test_given_weights_keep_their_ratio_and_are_one_in_the_mean():
    weights = np.array(class_weights(list(np.split(LABELS, 2)), {"c": 4.0}, ("a", "b", "c")))

    assert weights[2] / weights[0] == pytest.approx(4.0)
    assert weights[LABELS].mean() == pytest.approx(1.0)


def test_where_no_text_has_a_label_all_weights_are_one():
    assert class_weights(np.zeros((4, 2), bool), None, ("a", "b")) == (1.0, 1.0)
    assert class_weights(np.zeros((4, 2), bool), {"b": 3.0}, ("a", "b")) == (1.0, 3.0)


def test_the_loss_is_weighed_and_smoothed():
    logits = torch.tensor([[2.0, 0.0, -1.0], [0.5, 1.0, 0.0]])
    labels = torch.tensor([0, 2])

    plain = _cross_entropy(logits, labels, Weighing())
    weighed = _cross_entropy(logits, labels, Weighing(class_weights=(1.0, 1.0, 3.0)))
    smooth = _cross_entropy(logits, labels, Weighing(label_smoothing=0.3))

    nll = -F.log_softmax(logits, -1)
    assert plain == pytest.approx(float(nll[0, 0] + nll[1, 2]))
    assert weighed == pytest.approx(float(nll[0, 0] + 3 * nll[1, 2]))
    assert smooth == pytest.approx(float(0.7 * (nll[0, 0] + nll[1, 2]) + 0.1 * nll.sum()))
