"""AdamW in one pass is torch's; a gradient gives the same bits in each of its forms, and on any number of threads."""

import numpy as np
import pytest
import torch
from bmtool.train.optim import new_optimizer
from bmtool.train.weights import adamw
from bmtool.train.weights.adamw import Move, Rows, norm_of

NUM, WIDTH = 400, 24
SHAPES = {"table": (NUM, WIDTH), "matrix": (70, 50), "bias": (33,)}


def masters():
    generator = torch.Generator().manual_seed(0)
    return {name: torch.randn(shape, generator=generator) for name, shape in SHAPES.items()}


def gradients(step):
    """Of the table only some rows have one; all are numbers that bfloat16 has."""
    generator = torch.Generator().manual_seed(step)
    found = {name: torch.randn(shape, generator=generator).bfloat16().float() for name, shape in SHAPES.items()}
    found["table"][torch.rand(NUM, generator=generator) < 0.9] = 0
    return found


def rows_of(matrix):
    ids = matrix.any(1).nonzero()[:, 0].numpy()
    return Rows(ids, matrix[ids].numpy())


def moved(form, *, steps=5, scale=0.5):
    """Masters, copies and norms after some steps with gradients in this form."""
    weights, norms = masters(), []
    copies = {name: master.bfloat16() for name, master in weights.items()}
    optimizer = new_optimizer("adamw", weights, learning_rate=1e-2, weight_decay=0.1)
    for step in range(steps):
        optimizer.set_rate(1 / (1 + step))
        found = {name: form(name, gradient) for name, gradient in gradients(step).items()}
        norms.append(norm_of(list(found.values())))
        optimizer.move([Move(weights[name], found[name], copies[name]) for name in weights], scale)
    return weights, copies, norms, optimizer


def plain(name, gradient):
    return gradient


def narrow(name, gradient):
    return gradient.bfloat16()


def by_rows(name, gradient):
    return rows_of(gradient) if name == "table" else gradient.bfloat16()


def test_it_is_what_torch_does():
    expected = masters()
    theirs = new_optimizer("adamw", expected, learning_rate=1e-2, weight_decay=0.1)
    for step in range(5):
        theirs.set_rate(1 / (1 + step))
        for name, gradient in gradients(step).items():
            expected[name].grad = gradient * 0.5
        theirs.step()

    weights, copies, norms, optimizer = moved(plain)

    state, of_torch = optimizer.state_tensors(weights), theirs.state_tensors(expected)
    assert state.keys() == of_torch.keys()
    for name, master in weights.items():
        torch.testing.assert_close(master, expected[name], rtol=1e-5, atol=1e-6)
        assert torch.equal(copies[name], master.bfloat16())
    for name, value in state.items():
        torch.testing.assert_close(value, of_torch[name], rtol=1e-5, atol=1e-6)
    first = torch.cat([gradient.flatten() for gradient in gradients(0).values()])
    assert norms[0] == pytest.approx(float(first.double().norm()), rel=1e-6)


@pytest.mark.parametrize("form", [narrow, by_rows])
def test_every_form_of_a_gradient_gives_the_same_bits(form):
    weights, _, norms, optimizer = moved(plain)

    others, copies, other_norms, other = moved(form)

    assert norms == other_norms
    assert all(torch.equal(master, others[name]) for name, master in weights.items())
    assert all(torch.equal(master.bfloat16(), copies[name]) for name, master in weights.items())
    state = other.state_tensors(others)
    assert all(torch.equal(value, state[name]) for name, value in optimizer.state_tensors(weights).items())


def test_threads_in_pieces_give_the_same_bits(monkeypatch):
    weights, copies, norms, _ = moved(by_rows)
    monkeypatch.setattr(adamw, "PIECE", 2048)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)

    others, other_copies, other_norms, _ = moved(by_rows)

    assert norms == other_norms
    assert all(torch.equal(master, others[name]) for name, master in weights.items())
    assert all(torch.equal(copy, other_copies[name]) for name, copy in copies.items())


def test_a_state_that_is_taken_up_knows_which_rows_have_moments():
    whole, _, _, _ = moved(by_rows, steps=4)
    weights, copies, _, optimizer = moved(by_rows, steps=3)
    resumed = new_optimizer("adamw", weights, learning_rate=1e-2, weight_decay=0.1)

    resumed.load_state(weights, optimizer.state_tensors(weights))
    resumed.set_rate(1 / 4)
    found = {name: by_rows(name, gradient) for name, gradient in gradients(3).items()}
    resumed.move([Move(weights[name], found[name], copies[name]) for name in weights], 0.5)

    assert all(torch.equal(master, weights[name]) for name, master in whole.items())


def test_rows_that_a_batch_reads_more_than_once_are_added_up():
    table = torch.nn.Embedding(9, 4, padding_idx=0, sparse=True)
    dense = torch.nn.Embedding(9, 4, padding_idx=0, _weight=table.weight.detach().clone())
    ids, weights = torch.tensor([7, 3, 0, 7, 7, 1]), torch.arange(24.0).view(6, 4)
    for one in (table, dense):
        (one(ids) * weights).sum().backward()

    rows = Rows.of(table.weight.grad)
    twice = rows.plus(Rows(np.array([3, 8]), np.ones((2, 4), np.float32)))
    sums = torch.zeros(9, 4)
    rows.add_to(sums)

    assert rows.ids.tolist() == [1, 3, 7]
    assert torch.equal(sums, dense.weight.grad)
    assert twice.ids.tolist() == [1, 3, 7, 8]
    assert np.array_equal(twice.values[1], rows.values[1] + 1)


def test_a_batch_that_reads_nothing_has_no_rows():
    table = torch.nn.Embedding(9, 4, padding_idx=0, sparse=True)
    table(torch.zeros(3, dtype=torch.long)).sum().backward()

    rows = Rows.of(table.weight.grad)

    assert rows.ids.tolist() == []
    assert rows.values.shape == (0, 4)
    assert norm_of([rows]) == 0.0
