"""Embeddings that are looked up in their masters learn what others do, from gradients of the rows that were read."""

import pytest
import torch
from bmtool.train.tables import _MIN_NUMBERS
from bmtool.train.whole import WholeWeights
from bmtool.train.world import World
from torch import nn

WIDTH = 32
ROWS = _MIN_NUMBERS // WIDTH
BATCHES = [torch.tensor([[5, 5, 9, 0]]), torch.tensor([[9, 2, 5]])]


class Words(nn.Module):
    def __init__(self, *, tied=False, rows=ROWS):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.words = nn.Embedding(rows, WIDTH, _weight=torch.randn(rows, WIDTH, generator=generator))
        self.head = nn.Linear(WIDTH, rows if tied else 3, bias=False)
        nn.init.normal_(self.head.weight, generator=generator)
        if tied:
            self.head.weight = self.words.weight

    def loss(self, ids):
        return self.head(self.words(ids)).float().square().sum()


def learned(model, dtype=torch.float32, *, steps=3, scale=0.5):
    weights = WholeWeights.of(model, dtype, World())
    optimizer = torch.optim.AdamW(weights.masters.values(), lr=0.1)
    norms = []
    for _ in range(steps):
        for ids in BATCHES:
            weights.backward(weights.run(lambda running, ids=ids: running.loss(ids)))
        norms.append(weights.grad_norm())
        weights.scale_gradients(scale)
        optimizer.step()
        weights.publish()
        weights.clear_gradients()
    return weights, norms


def plainly_learned(model, *, steps=3, scale=0.5):
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1)
    norms = []
    for _ in range(steps):
        sum(model.loss(ids) for ids in BATCHES).backward()
        norms.append(float(torch.nn.utils.get_total_norm([p.grad for p in model.parameters()])))
        for parameter in model.parameters():
            parameter.grad *= scale
        optimizer.step()
        optimizer.zero_grad()
    return norms


def test_all_rows_move_as_adamw_moves_them_by_whole_gradients():
    model, plain = Words(), Words()

    weights, norms = learned(model)
    expected = plainly_learned(plain)

    assert list(weights.tables) == ["words.weight"]
    assert norms == pytest.approx(expected, rel=1e-5)
    for name, parameter in weights.give_back().named_parameters():
        assert (parameter - plain.get_parameter(name)).abs().max() < 1e-5, name


def test_bfloat16_sees_rows_in_its_own_type_and_learns_them_in_float32():
    model = Words()
    weights, _ = learned(model, torch.bfloat16, steps=0)

    seen = model.words(BATCHES[0])
    _, norms = learned(Words(), torch.bfloat16)

    assert seen.dtype == model.head.weight.dtype == torch.bfloat16
    assert weights.masters["words.weight"].data_ptr() == model.words.weight.data_ptr()
    assert norms == pytest.approx(plainly_learned(Words()), rel=0.03)


def test_the_next_step_begins_without_gradients():
    weights, _ = learned(Words())

    table = weights.tables["words.weight"]

    assert table.gradient.count_nonzero() == 0
    assert weights.gradients() == []
    assert weights.grad_norm() == 0


def test_the_model_is_given_back_as_it_was():
    model = Words()
    weights, _ = learned(model, torch.bfloat16)

    given = weights.give_back()

    assert given is model
    assert not model.words.sparse
    assert model.words(BATCHES[0]).dtype == torch.float32
    assert model.words.weight.grad is None


@pytest.mark.parametrize("model", [Words(tied=True), Words(rows=ROWS - 1)], ids=["tied", "small"])
def test_matrices_that_are_used_elsewhere_and_small_ones_have_whole_gradients(model):
    weights = WholeWeights.of(model, torch.float32, World())

    weights.backward(model.loss(BATCHES[0]))

    assert not weights.tables
    assert all(gradient.layout == torch.strided for gradient in weights.gradients())
