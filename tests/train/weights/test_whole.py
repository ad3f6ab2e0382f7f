"""Weights that are whole: gradients of an embedding's rows add up to what whole ones are, whoever has them."""

import pytest
import torch
from bmtool.train.machine.world import World
from bmtool.train.optim import new_optimizer
from bmtool.train.weights import whole
from bmtool.train.weights.adamw import Rows
from bmtool.train.weights.whole import WholeWeights
from torch import nn

BATCHES = [torch.tensor([3, 5, 3, 1]), torch.tensor([5, 2, 2])]


class Reader(nn.Module):
    def __init__(self, *, is_tied=False):
        super().__init__()
        torch.manual_seed(0)
        self.table = nn.Embedding(8, 4)
        self.head = nn.Linear(4, 8, bias=False)
        if is_tied:
            self.head.weight = self.table.weight

    def forward(self, ids):
        return self.head(self.table(ids)).float().square().sum()


def weights_of(dtype, monkeypatch, *, least=1, **settings):
    monkeypatch.setattr(whole, "MIN_LARGE", least)
    return WholeWeights.of(Reader(**settings), dtype, World())


def learned(weights, batches):
    for ids in batches:
        weights.backward(weights.run(lambda model, ids: model(ids), ids))
    return weights


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("number", [1, 2])
def test_rows_of_an_embedding_are_its_gradient(dtype, number, monkeypatch):
    by_rows = learned(weights_of(dtype, monkeypatch), BATCHES[:number])
    dense = learned(weights_of(dtype, monkeypatch, least=1000), BATCHES[:number])

    assert isinstance(by_rows.fresh["table.weight"], Rows)
    assert by_rows.grad_norm() == pytest.approx(dense.grad_norm(), rel=1e-2)
    for one, other in zip(by_rows.gradients(), dense.gradients(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-2, atol=1e-2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_one_process_with_two_batches_has_the_bits_of_two_with_one(dtype, monkeypatch):
    both = learned(weights_of(dtype, monkeypatch), BATCHES)
    first, second = (learned(weights_of(dtype, monkeypatch), [batch]) for batch in BATCHES)
    for own, other in zip(first.gradients(), second.gradients(), strict=True):
        own += other  # as the processes do

    norms = [both.grad_norm(), first.grad_norm()]
    for weights in (both, first):
        optimizer = new_optimizer("adamw", weights.masters, learning_rate=0.1, weight_decay=0.1)
        weights.move(optimizer, 0.5)

    assert norms[0] == norms[1]
    assert all(torch.equal(master, first.masters[name]) for name, master in both.masters.items())


def test_a_table_that_is_also_the_output_has_a_whole_gradient(monkeypatch):
    weights = learned(weights_of(torch.bfloat16, monkeypatch, is_tied=True), BATCHES[:1])

    assert not weights.model.table.sparse
    assert weights.fresh["table.weight"].dtype == torch.bfloat16


def test_what_is_forgotten_is_gone(monkeypatch):
    weights = learned(weights_of(torch.bfloat16, monkeypatch), BATCHES)

    weights.clear_gradients()

    assert weights.gradients() == []
    assert weights.grad_norm() == 0.0


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_muon_and_its_adamw_take_whole_gradients(dtype, monkeypatch):
    weights = learned(weights_of(dtype, monkeypatch), BATCHES)
    before = weights.snapshot()
    optimizer = new_optimizer("muon", weights.masters, learning_rate=0.1, weight_decay=0.1)

    weights.move(optimizer, 0.5)

    assert all(not torch.equal(value, before[name]) for name, value in weights.snapshot().items())
    assert all(torch.equal(weights.computing[name], master.to(dtype)) for name, master in weights.masters.items())
